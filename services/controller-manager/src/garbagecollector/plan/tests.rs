//! The tables of W4: small worlds of objects that own each other, deleted in every way, until nothing moves any more.

use super::*;
use crate::garbagecollector::graph::ORPHAN;
use api::Resource;
use api::apps::v1::{Deployment, ReplicaSet};
use api::core::v1::{ConfigMap, Node as ClusterNode, Pod};
use api::meta::v1::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet};

/// A cluster that carries decisions out as apiserver and controller do, one object at a time.
#[derive(Default)]
struct World {
    graph: Graph,
    objects: BTreeMap<String, (Identity, ObjectMeta)>,
    queue: BTreeSet<Identity>,
}

impl World {
    /// Adds an object of kind `K` whose owners are written as `uid`, or `uid!` if they wait for it.
    fn add<K: Resource>(&mut self, uid: &str, owners: &[&str]) {
        let mut meta = ObjectMeta { uid: uid.to_owned(), name: uid.to_owned(), ..Default::default() };
        if K::INFO.namespaced {
            meta.namespace = "default".to_owned();
        }
        for owner in owners {
            let (uid, blocks) = owner.strip_suffix('!').map_or((*owner, false), |uid| (uid, true));
            meta.owner_references.push(OwnerReference {
                api_version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                name: uid.to_owned(),
                uid: uid.to_owned(),
                block_owner_deletion: blocks.then_some(true),
                ..Default::default()
            });
        }
        self.store(Identity::new(K::INFO, &meta), meta);
    }

    /// Makes references to `uid` name its real kind.
    fn named<K: Resource>(&mut self, uid: &str) {
        let objects: Vec<_> = self.objects.values().cloned().collect();
        for (identity, mut meta) in objects {
            for owner in meta.owner_references.iter_mut().filter(|owner| owner.uid == uid) {
                owner.api_version = K::INFO.api_version().into_owned();
                owner.kind = K::INFO.kind.to_owned();
            }
            self.store(identity, meta);
        }
    }

    fn store(&mut self, identity: Identity, meta: ObjectMeta) {
        if meta.deletion_timestamp.is_some() && meta.finalizers.is_empty() {
            self.objects.remove(&identity.uid);
            self.queue.extend(self.graph.forget(&identity, true));
        } else {
            self.queue.extend(self.graph.observe(identity.clone(), &meta));
            self.objects.insert(identity.uid.clone(), (identity, meta));
        }
    }

    fn change(&mut self, uid: &str, change: impl FnOnce(&mut ObjectMeta)) {
        let (identity, mut meta) = self.objects[uid].clone();
        change(&mut meta);
        self.store(identity, meta);
    }

    /// What the apiserver does about a delete.
    fn delete(&mut self, uid: &str, policy: &str) {
        self.change(uid, |meta| {
            meta.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
            match policy {
                "Foreground" => meta.finalizers.push(FOREGROUND.to_owned()),
                "Orphan" => meta.finalizers.push(ORPHAN.to_owned()),
                _ => {}
            }
        });
    }

    fn unlink(&mut self, uid: &str, lost: &[String]) {
        self.change(uid, |meta| meta.owner_references.retain(|owner| !lost.contains(&owner.uid)));
    }

    /// Works until nothing is left to do; returns what remains.
    fn settle(&mut self) -> Vec<&str> {
        for _ in 0..1000 {
            let Some(object) = self.queue.pop_first() else {
                return self.objects.keys().map(String::as_str).collect();
            };
            self.step(&object);
        }
        panic!("no end: {:?}", self.queue);
    }

    fn step(&mut self, object: &Identity) {
        let mut known = Known::new();
        let decision = loop {
            match plan(&self.graph, &object.uid, &known) {
                Decision::Ask(owners) => {
                    for owner in owners {
                        let live = self.objects.get(&owner.uid).is_some_and(|(identity, _)| *identity == owner);
                        known.insert(owner.uid, if live { Owner::Solid } else { Owner::Absent });
                    }
                }
                decision => break decision,
            }
        };
        let uid = &object.uid;
        match decision {
            Decision::Nothing | Decision::Ask(_) => {}
            Decision::LookAt(dependents) => self.queue.extend(dependents),
            Decision::Finalize(finalizer) => self.change(uid, |meta| meta.finalizers.retain(|held| held != finalizer)),
            Decision::Orphan(dependents) => {
                for dependent in dependents {
                    self.unlink(&dependent.uid, std::slice::from_ref(uid));
                }
                self.change(uid, |meta| meta.finalizers.retain(|held| held != ORPHAN));
            }
            Decision::Unlink(lost) => self.unlink(uid, &lost),
            Decision::Delete { policy, unblock } => {
                if unblock {
                    self.change(uid, |meta| {
                        meta.owner_references.iter_mut().for_each(|owner| owner.block_owner_deletion = Some(false));
                    });
                }
                self.delete(uid, policy);
            }
        }
    }
}

/// A Deployment with one ReplicaSet of two pods.
fn web() -> World {
    let mut world = World::default();
    world.add::<Deployment>("web", &[]);
    world.add::<ReplicaSet>("web-1", &["web!"]);
    world.add::<Pod>("web-1-a", &["web-1!"]);
    world.add::<Pod>("web-1-b", &["web-1!"]);
    world.named::<Deployment>("web");
    world.named::<ReplicaSet>("web-1");
    world.settle();
    world
}

#[test]
fn w4_the_deletion_of_a_deployment_reaches_its_pods_in_every_way() {
    let table: [(&str, &[&str]); 3] =
        [("Background", &[]), ("Foreground", &[]), ("Orphan", &["web-1", "web-1-a", "web-1-b"])];
    for (policy, left) in table {
        let mut world = web();
        assert_eq!(world.settle().len(), 4, "nothing goes by itself");
        world.delete("web", policy);
        assert_eq!(world.settle(), left, "{policy}");
    }
}

#[test]
fn w4_in_the_foreground_the_dependents_go_first() {
    let mut world = web();
    // A pod takes its time.
    world.change("web-1-a", |meta| meta.finalizers.push("kubelet".to_owned()));
    world.delete("web", "Foreground");
    assert_eq!(world.settle(), ["web", "web-1", "web-1-a"], "owners wait for the last dependent");
    assert!(world.objects["web-1"].1.deletion_timestamp.is_some());
    world.change("web-1-a", |meta| meta.finalizers.clear());
    assert_eq!(world.settle(), [""; 0]);
}

#[test]
fn w4_a_dependent_that_does_not_block_is_not_waited_for() {
    let mut world = World::default();
    world.add::<ConfigMap>("owner", &[]);
    world.add::<ConfigMap>("slow", &["owner"]);
    world.change("slow", |meta| meta.finalizers.push("slow".to_owned()));
    world.delete("owner", "Foreground");
    assert_eq!(world.settle(), ["slow"]);
    assert!(world.objects["slow"].1.deletion_timestamp.is_some());
}

#[test]
fn w4_an_orphan_is_only_unlinked_and_its_own_dependents_stay() {
    let mut world = web();
    world.delete("web", "Orphan");
    world.settle();
    assert_eq!(world.objects["web-1"].1.owner_references, []);
    assert_eq!(world.objects["web-1-a"].1.owner_references.len(), 1);
}

#[test]
fn w4_one_owner_that_stays_keeps_the_object() {
    let table: [(&[&str], &str, &[&str]); 4] = [
        (&["a", "b"], "Background", &["b", "both"]),
        (&["a!", "b"], "Foreground", &["b", "both"]),
        (&["a", "never-was"], "Background", &["b"]),
        (&["never-was"], "Background", &["b"]),
    ];
    for (owners, policy, left) in table {
        let mut world = World::default();
        world.add::<ConfigMap>("a", &[]);
        world.add::<ConfigMap>("b", &[]);
        world.add::<ConfigMap>("both", owners);
        world.settle();
        world.delete("a", policy);
        assert_eq!(world.settle(), left, "{owners:?} {policy}");
        if let Some((_, both)) = world.objects.get("both") {
            assert_eq!(both.owner_references.len(), 1, "the lost reference is gone");
        }
    }
}

#[test]
fn w4_a_circle_goes_in_the_foreground_and_the_background() {
    for policy in ["Foreground", "Background"] {
        let mut world = World::default();
        world.add::<ConfigMap>("a", &["c!"]);
        world.add::<ConfigMap>("b", &["a!"]);
        world.add::<ConfigMap>("c", &["b!"]);
        assert_eq!(world.settle(), ["a", "b", "c"], "alone it stays");
        world.delete("a", policy);
        assert_eq!(world.settle(), [""; 0], "{policy}");
    }
}

#[test]
fn w4_an_owner_is_gone_only_when_the_apiserver_says_so() {
    let mut graph = Graph::default();
    let dependent = |owner: &str| {
        let mut world = World::default();
        world.add::<ConfigMap>("x", &[owner]);
        world.objects["x"].clone()
    };
    let (identity, meta) = dependent("owner");
    assert_eq!(graph.observe(identity.clone(), &meta), [identity]);
    let Decision::Ask(owners) = plan(&graph, "x", &Known::new()) else { panic!("it must ask") };
    assert_eq!((owners[0].uid.as_str(), owners[0].namespace.as_str()), ("owner", "default"));
    let decide = |graph: &Graph, owner| plan(graph, "x", &Known::from([("owner".to_owned(), owner)]));
    let delete = Decision::Delete { policy: "Background", unblock: false };
    assert_eq!(decide(&graph, Owner::Solid), Decision::Nothing);
    assert_eq!(decide(&graph, Owner::Absent), delete);
    graph.note_absent(owners[0].clone());
    assert_eq!(plan(&graph, "x", &Known::new()), delete, "one answer serves all dependents");
}

#[test]
fn w4_a_removal_that_was_only_concluded_is_asked_about() {
    for (is_certain, asks) in [(true, false), (false, true)] {
        let mut world = World::default();
        world.add::<ConfigMap>("owner", &[]);
        world.add::<ConfigMap>("x", &["owner"]);
        let owner = world.objects["owner"].0.clone();
        let affected = world.graph.forget(&owner, is_certain);
        assert_eq!(affected.len(), 1);
        let decision = plan(&world.graph, "x", &Known::new());
        assert_eq!(matches!(decision, Decision::Ask(_)), asks, "{decision:?}");
    }
}

#[test]
fn w4_another_object_under_the_owners_name_is_not_the_owner() {
    let mut world = World::default();
    world.add::<ConfigMap>("x", &["old-uid"]);
    let mut newer = ObjectMeta { uid: "new-uid".to_owned(), name: "old-uid".to_owned(), ..Default::default() };
    newer.namespace = "default".to_owned();
    world.store(Identity::new(ConfigMap::INFO, &newer), newer);
    assert_eq!(world.settle(), ["new-uid"]);
}

#[test]
fn references_that_cannot_be_judged_keep_their_object() {
    let mut world = World::default();
    world.add::<ConfigMap>("unserved", &["x"]);
    world.change("unserved", |meta| meta.owner_references[0].api_version = "example.com/v1".to_owned());
    world.add::<ClusterNode>("cluster-wide", &["x"]);
    assert_eq!(world.settle(), ["cluster-wide", "unserved"]);
}

#[test]
fn a_status_or_a_heartbeat_asks_nothing_and_moves_only_the_revision() {
    let mut world = web();
    let (identity, mut meta) = world.objects["web-1-a"].clone();
    meta.resource_version = "77".to_owned();
    assert_eq!(world.graph.observe(identity, &meta), []);
    let node = world.graph.node("web-1-a").unwrap();
    assert_eq!(node.resource_version, "77");
}
