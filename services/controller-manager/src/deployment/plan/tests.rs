use super::*;
use crate::deployment::testing::{World, fill, rolling, set_version};
use jiff::SignedDuration;

fn web(replicas: i32) -> World {
    World::new(rolling(replicas, 1.into(), 0.into()))
}

fn sizes(pairs: &[(&str, i32)]) -> Vec<(String, i32)> {
    pairs.iter().map(|(version, size)| ((*version).to_owned(), *size)).collect()
}

#[test]
fn w1_a_new_deployment_gets_one_replica_set_with_all_replicas() {
    let mut world = web(3);
    let plan = world.sync();
    let created = plan.create.expect("a ReplicaSet");
    let hash = &created.metadata.labels[api::template_hash::LABEL];
    assert_eq!(created.metadata.name, format!("web-{hash}"));
    assert_eq!(created.spec.replicas, Some(3));
    assert_eq!(&created.spec.selector.as_ref().unwrap().match_labels[api::template_hash::LABEL], hash);
    assert_eq!(&created.spec.template.metadata.labels[api::template_hash::LABEL], hash);
    assert_eq!(plan.revision.as_deref(), Some("1"));
    assert_eq!(world.condition("Progressing"), Some(("True", "NewReplicaSetCreated")));
    assert_eq!(world.condition("Available"), Some(("False", "MinimumReplicasUnavailable")));
    assert_eq!(world.plan(), Plan { again: world.plan().again, ..Plan::default() }, "nothing more to do");
}

#[test]
fn w1_a_rollout_that_is_done_says_so() {
    let mut world = web(3);
    world.settle();
    let status = &world.deployment.status;
    assert_eq!((status.replicas, status.updated_replicas, status.available_replicas), (3, 3, 3));
    assert_eq!(status.observed_generation, 1);
    assert_eq!(world.condition("Progressing"), Some(("True", "NewReplicaSetAvailable")));
    assert_eq!(world.condition("Available"), Some(("True", "MinimumReplicasAvailable")));
    let progressing = super::status::find(status, "Progressing").unwrap();
    let name = &world.sets[0].metadata.name;
    assert_eq!(progressing.message, format!("ReplicaSet \"{name}\" has successfully progressed."));
    assert_eq!(world.plan(), Plan::default(), "and needs no timer");
}

#[test]
fn w5_a_new_template_rolls_out_within_its_bounds_step_by_step() {
    let mut world = World::new(rolling(4, 1.into(), 1.into()));
    world.settle();
    set_version(&mut world.deployment, "2");
    let plan = world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 3), ("2", 1)]), "one may be missing, one may be more");
    assert_eq!(plan.revision.as_deref(), Some("2"));
    assert!(plan.changes_replica_sets());
    fill(world.set("1"));
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 3), ("2", 2)]), "up to replicas + maxSurge");
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 3), ("2", 2)]), "and no further before a new pod is available");
    fill(world.set("2"));
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 1), ("2", 2)]));
    world.settle();
    assert_eq!(world.sizes(), sizes(&[("1", 0), ("2", 4)]));
}

#[test]
fn w5_unhealthy_old_pods_go_first_and_block_nothing() {
    let mut world = World::new(rolling(4, 0.into(), 1.into()));
    world.settle();
    set_version(&mut world.deployment, "2");
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 3), ("2", 0)]));
    let old = world.set("1");
    fill(old);
    old.status.available_replicas = 2;
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 3), ("2", 1)]));
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 3), ("2", 1)]), "2 of at least 3 are available");
    fill(world.set("2"));
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 2), ("2", 1)]), "the broken one goes, though none can be spared");
}

#[test]
fn w5_undo_finds_the_old_replica_set_and_gives_it_a_new_revision() {
    let mut world = web(2);
    world.settle();
    let first = world.sets[0].metadata.name.clone();
    set_version(&mut world.deployment, "2");
    world.settle();
    set_version(&mut world.deployment, "1");
    world.settle();
    assert_eq!(world.sizes(), sizes(&[("1", 2), ("2", 0)]), "no third ReplicaSet");
    let annotations = &world.set("1").metadata.annotations;
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(world.sets[0].metadata.name, first);
    assert_eq!(world.deployment.metadata.annotations["deployment.kubernetes.io/revision"], "3");
}

#[test]
fn w5_a_paused_rollout_scales_but_does_not_roll() {
    let mut world = web(2);
    world.settle();
    world.deployment.spec.paused = true;
    set_version(&mut world.deployment, "2");
    world.settle();
    assert_eq!(world.sizes(), sizes(&[("1", 2)]));
    assert_eq!(world.condition("Progressing"), Some(("Unknown", "DeploymentPaused")));
    world.deployment.spec.replicas = Some(5);
    world.settle();
    assert_eq!(world.sizes(), sizes(&[("1", 5)]));
    world.deployment.spec.paused = false;
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 5), ("2", 1)]));
    world.settle();
    assert_eq!(world.sizes(), sizes(&[("1", 0), ("2", 5)]));
}

#[test]
fn w5_a_pause_without_a_new_template_is_noted_both_ways() {
    let mut world = web(2);
    world.settle();
    world.deployment.spec.paused = true;
    world.settle();
    assert_eq!(world.condition("Progressing"), Some(("Unknown", "DeploymentPaused")));
    world.deployment.spec.paused = false;
    world.sync();
    assert_eq!(world.condition("Progressing"), Some(("True", "NewReplicaSetAvailable")));
}

#[test]
fn w5_scaling_in_the_middle_of_a_rollout_is_spread_in_proportion() {
    let mut world = World::new(rolling(10, 3.into(), 2.into()));
    world.settle();
    set_version(&mut world.deployment, "2");
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 8), ("2", 3)]));
    fill(world.set("1"));
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 8), ("2", 5)]));
    world.deployment.spec.replicas = Some(15);
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 11), ("2", 7)]), "the example of Kubernetes' documentation");
    world.deployment.spec.replicas = Some(0);
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 0), ("2", 0)]));
}

#[test]
fn w5_a_deadline_that_passes_without_movement_is_told_once() {
    let mut world = web(2);
    world.settle();
    set_version(&mut world.deployment, "2");
    let plan = world.sync();
    let again = plan.again.expect("a deadline to watch");
    assert_eq!(again.as_secs(), 601);
    world.now += SignedDuration::try_from(again).unwrap();
    let plan = world.sync();
    assert_eq!(world.condition("Progressing"), Some(("False", "ProgressDeadlineExceeded")));
    assert_eq!(plan.again, None);
    assert_eq!(world.plan(), Plan::default());
    fill(world.set("2"));
    world.sync();
    assert_eq!(world.condition("Progressing"), Some(("True", "ReplicaSetUpdated")), "it recovers");
}

#[test]
fn w5_recreate_waits_for_the_last_old_pod() {
    let mut world = web(2);
    world.deployment.spec.strategy.r#type = "Recreate".to_owned();
    world.deployment.spec.strategy.rolling_update = None;
    world.settle();
    set_version(&mut world.deployment, "2");
    world.old_pods_left = true;
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 0)]));
    fill(world.set("1"));
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 0)]), "the last pod still terminates");
    world.old_pods_left = false;
    world.sync();
    assert_eq!(world.sizes(), sizes(&[("1", 0), ("2", 2)]));
    world.settle();
}

#[test]
fn w5_the_history_keeps_the_newest_revisions_and_nothing_with_pods() {
    let mut world = web(1);
    world.deployment.spec.revision_history_limit = Some(2);
    for version in ["1", "2", "3", "4", "5"] {
        set_version(&mut world.deployment, version);
        world.settle();
    }
    assert_eq!(world.sizes(), sizes(&[("3", 0), ("4", 0), ("5", 1)]));
    world.set("3").metadata.generation += 1;
    world.deployment.spec.revision_history_limit = Some(0);
    world.settle();
    assert_eq!(world.sizes().len(), 1, "its status catches up, then it goes");
}

#[test]
fn w5_a_name_that_is_taken_makes_the_next_hash_differ() {
    let mut world = web(1);
    let first = world.plan().create.unwrap();
    world.deployment.status = name_collided(&world.deployment);
    let second = world.plan().create.unwrap();
    assert_eq!(world.deployment.status.collision_count, Some(1));
    assert_ne!(first.metadata.name, second.metadata.name);
    let mut foreign = first.clone();
    foreign.spec.template.metadata.labels.insert("version".to_owned(), "9".to_owned());
    assert!(is_the_same(&first, &first, &world.deployment));
    assert!(!is_the_same(&foreign, &first, &world.deployment));
}

#[test]
fn trouble_of_a_replica_set_shows_on_the_deployment() {
    let mut world = web(1);
    world.sync();
    let condition = api::apps::v1::ReplicaSetCondition {
        r#type: "ReplicaFailure".to_owned(),
        status: "True".to_owned(),
        reason: "FailedCreate".to_owned(),
        ..Default::default()
    };
    world.set("1").status.conditions = vec![condition];
    world.sync();
    assert_eq!(world.condition("ReplicaFailure"), Some(("True", "FailedCreate")));
    world.set("1").status.conditions.clear();
    world.sync();
    assert_eq!(world.condition("ReplicaFailure"), None);
}

#[test]
fn a_selector_of_everything_is_refused_and_a_deleted_deployment_left_alone() {
    let mut world = web(1);
    world.deployment.spec.selector = Some(Default::default());
    let plan = world.sync();
    assert!(plan.selects_all && plan.create.is_none() && plan.status.is_some());

    let mut world = web(1);
    world.deployment.metadata.deletion_timestamp = Some(world.now.into());
    let plan = world.sync();
    assert!(plan.create.is_none() && plan.status.is_some());
}
