use super::*;
use api::core::v1::PodCondition;
use api::pod_conditions::READY;
use jiff::SignedDuration;

fn noon() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn set(replicas: i32) -> ReplicaSet {
    let mut set = ReplicaSet::default();
    set.metadata.name = "web-abc".to_owned();
    set.metadata.namespace = "default".to_owned();
    set.metadata.uid = "uid".to_owned();
    set.metadata.generation = 2;
    set.spec.replicas = Some(replicas);
    set.spec.template.metadata.labels.insert("app".to_owned(), "web".to_owned());
    set
}

/// A pod that has been ready for so many seconds, if at all.
fn pod(name: &str, ready_for: Option<i64>) -> Arc<Pod> {
    let mut pod = Pod::default();
    pod.metadata.name = name.to_owned();
    pod.metadata.uid = name.to_owned();
    pod.metadata.labels.insert("app".to_owned(), "web".to_owned());
    pod.spec.node_name = "n1".to_owned();
    pod.status.phase = "Running".to_owned();
    if let Some(seconds) = ready_for {
        pod.status.conditions.push(PodCondition {
            r#type: READY.to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some((noon() - SignedDuration::from_secs(seconds)).into()),
            ..Default::default()
        });
    }
    Arc::new(pod)
}

fn plan_of(set: &ReplicaSet, active: &[Arc<Pod>], terminating: usize) -> Plan {
    let per_node = || HashMap::new();
    plan(Observed { replica_set: set, active: active.to_vec(), terminating, per_node: &per_node }, noon())
}

fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
    pods.iter().map(|pod| pod.metadata.name.as_str()).collect()
}

#[test]
fn w1_w4_w6_as_many_pods_are_made_as_are_missing_and_no_more_than_a_burst() {
    let running = [pod("a", Some(60)), pod("b", Some(60))];
    let table = [(0, 3, 3), (1, 3, 2), (2, 3, 1), (2, 2, 0), (0, 9999, BURST)];
    for (existing, wanted, create) in table {
        let plan = plan_of(&set(wanted), &running[..existing], 0);
        assert_eq!((plan.create, plan.delete.len()), (create, 0), "{existing} of {wanted}");
    }
}

#[test]
fn w4_a_terminating_pod_is_replaced_at_once() {
    let plan = plan_of(&set(3), &[pod("a", Some(60)), pod("b", Some(60))], 1);
    assert_eq!(plan.create, 1);
    let status = plan.status(&set(3), None, noon()).unwrap();
    assert_eq!((status.replicas, status.terminating_replicas), (2, Some(1)));
}

#[test]
fn w6_surplus_pods_go_and_do_not_count_any_more() {
    let pods = [pod("a", Some(60)), pod("b", None), pod("c", Some(60))];
    let plan = plan_of(&set(1), &pods, 0);
    assert_eq!((names(&plan.delete).len(), names(&plan.delete)[0]), (2, "b"), "what serves nobody goes first");
    let status = plan.status(&set(1), None, noon()).unwrap();
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (1, 1, 1));
    assert_eq!(status.observed_generation, 2);
}

#[test]
fn a_replica_set_that_goes_neither_makes_nor_deletes_pods() {
    let mut going = set(2);
    going.metadata.deletion_timestamp = Some(noon().into());
    let pods = [pod("a", Some(60)), pod("b", Some(60)), pod("c", Some(60))];
    for existing in [0, 3] {
        let plan = plan_of(&going, &pods[..existing], 0);
        assert_eq!((plan.create, plan.delete.len()), (0, 0));
    }
}

#[test]
fn w5_min_ready_seconds_delay_availability_and_ask_for_another_look() {
    let mut set = set(3);
    set.spec.min_ready_seconds = 30;
    let plan = plan_of(&set, &[pod("a", Some(60)), pod("b", Some(20)), pod("c", Some(10))], 0);
    let status = plan.status(&set, None, noon()).unwrap();
    assert_eq!((status.ready_replicas, status.available_replicas), (3, 1));
    assert_eq!(plan.again, Some(Duration::from_secs(10)));
}

#[test]
fn a_status_that_is_true_already_is_not_written() {
    let mut set = set(1);
    let plan = plan_of(&set, &[pod("a", Some(60))], 0);
    set.status = plan.status(&set, None, noon()).unwrap();
    assert_eq!(plan.status(&set, None, noon() + SignedDuration::from_hours(1)), None);
}

#[test]
fn a_failure_is_noted_once_and_taken_away_when_it_is_over() {
    let mut set = set(1);
    let plan = plan_of(&set, &[], 0);
    let quota = Failure { reason: "FailedCreate", message: "exceeded quota".to_owned() };
    set.status = plan.status(&set, Some(&quota), noon()).unwrap();
    assert_eq!(set.status.conditions[0].reason, "FailedCreate");
    let again = Failure { message: "exceeded quota, again".to_owned(), ..quota };
    assert_eq!(plan.status(&set, Some(&again), noon() + SignedDuration::from_secs(9)), None);
    assert_eq!(plan.status(&set, None, noon()).unwrap().conditions, []);
}

#[test]
fn w1_a_pod_comes_from_the_template_and_knows_its_owner() {
    let pod = pod_of(&set(1));
    assert_eq!(pod.metadata.generate_name, "web-abc-");
    assert_eq!(pod.metadata.labels["app"], "web");
    let owner = &pod.metadata.owner_references[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()), ("ReplicaSet", "web-abc", "uid"));
    assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), Some(true)));
}

#[test]
fn w6_pods_without_all_labels_of_the_template_are_told_apart() {
    let mut stripped = (*pod("a", None)).clone();
    stripped.metadata.labels.clear();
    let plan = plan_of(&set(2), &[Arc::new(stripped), pod("b", None)], 0);
    let status = plan.status(&set(2), None, noon()).unwrap();
    assert_eq!((status.replicas, status.fully_labeled_replicas, status.ready_replicas), (2, 1, 0));
}
