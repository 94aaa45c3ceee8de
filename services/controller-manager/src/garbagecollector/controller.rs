//! Follows every kind, keeps the graph, asks about owners, and carries decisions out.

use super::graph::{FOREGROUND, Graph, Identity, ORPHAN};
use super::plan::{Decision, Known, Owner, plan};
use crate::context::{Context, Start};
use crate::informers::lasting_kinds;
use crate::kinds::{Objects, objects};
use crate::origin::echo;
use api::meta::v1::{DeleteOptions, OwnerReference, Preconditions};
use api::{Error, KindVisitor, Resource, visit_kind};
use client::Patch;
use controller::{Change, Origin, Outcome, WorkQueue};
use futures::StreamExt;
use futures::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use telemetry::{Cause, Causes};
use tracing::debug;

/// Dependents that are unlinked at the same time.
const UNLINKED_AT_ONCE: usize = 16;

struct Collector {
    graph: Mutex<Graph>,
    /// By group and kind.
    kinds: HashMap<(&'static str, &'static str), Arc<dyn Objects>>,
    queue: WorkQueue<Identity>,
}

/// Adds the controller to the shared informers, of every kind.
pub fn register(context: &mut Context, workers: usize) -> Start {
    let kinds = lasting_kinds().filter_map(|info| Some(((info.group, info.kind), objects(info, &context.client)?)));
    let this = Arc::new(Collector {
        graph: Mutex::default(),
        kinds: kinds.collect(),
        queue: WorkQueue::new(&context.shutdown),
    });
    for info in lasting_kinds() {
        visit_kind(info, Follow { context, collector: Arc::clone(&this) });
    }
    let queue = this.queue.clone();
    let origin = |_: &Identity, _: &Causes| Some(Origin::default());
    let reconcile = move |object: Identity, causes: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&object, &causes).await }
    };
    // The kind of the objects is a part of the key.
    context.workers(("garbage-collector", "", workers), &queue, origin, reconcile)
}

/// Adds the handler of a kind.
struct Follow<'a> {
    context: &'a mut Context,
    collector: Arc<Collector>,
}

impl KindVisitor for Follow<'_> {
    type Output = ();

    fn visit<K: Resource>(self) {
        let collector = self.collector;
        self.context.informers.of::<K>().add_handler(move |change: &Change<K>, cause| collector.changed(change, cause));
    }
}

impl Collector {
    fn changed<K: Resource>(&self, change: &Change<K>, cause: &Cause) {
        let affected = {
            let mut graph = self.graph.lock();
            match change {
                Change::Added(object) => graph.observe(Identity::of(&**object), object.metadata()),
                Change::Updated { old, new } => {
                    let mut affected = Vec::new();
                    if old.metadata().uid != new.metadata().uid {
                        affected = graph.forget(&Identity::of(&**old), false);
                    }
                    affected.extend(graph.observe(Identity::of(&**new), new.metadata()));
                    affected
                }
                // A removal that was only concluded from a list has no revision.
                Change::Removed(object) => graph.forget(&Identity::of(&**object), cause.revision > 0),
            }
        };
        for object in affected {
            self.queue.add(object, &echo(cause));
        }
    }

    async fn reconcile(&self, object: &Identity, causes: &Causes) -> Result<Outcome, Error> {
        let mut known = Known::new();
        loop {
            let (decision, revision, owners) = {
                let graph = self.graph.lock();
                let decision = plan(&graph, &object.uid, &known);
                let node = graph.node(&object.uid);
                let revision = node.map(|node| node.resource_version.clone()).unwrap_or_default();
                (decision, revision, node.map(|node| node.owners.clone()).unwrap_or_default())
            };
            match decision {
                Decision::Ask(unknown) => {
                    for owner in unknown {
                        let state = self.ask(&owner).await?;
                        known.insert(owner.uid, state);
                    }
                    continue;
                }
                Decision::Nothing => {}
                Decision::LookAt(dependents) => {
                    for dependent in dependents {
                        self.queue.add_all(dependent, causes.clone());
                    }
                }
                Decision::Finalize(finalizer) => self.finalize(object, finalizer).await?,
                Decision::Orphan(dependents) => self.orphan(object, dependents).await?,
                Decision::Unlink(lost) => {
                    let kept = owners.into_iter().filter(|owner| !lost.contains(&owner.uid)).collect();
                    self.set_owners(object, &revision, kept).await?;
                }
                Decision::Delete { policy, unblock: false } => self.delete(object, revision, policy).await?,
                Decision::Delete { unblock: true, .. } => {
                    let unblocked = owners
                        .into_iter()
                        .map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner })
                        .collect::<Vec<_>>();
                    self.set_owners(object, &revision, unblocked).await?;
                    let live = self.kind(object)?.get(&object.namespace, &object.name).await?;
                    if live.uid == object.uid {
                        self.delete(object, live.resource_version, "Foreground").await?;
                    }
                }
            }
            return Ok(Outcome::Done);
        }
    }

    fn kind(&self, object: &Identity) -> Result<&Arc<dyn Objects>, Error> {
        let kind = self.kinds.get(&(object.group, object.kind));
        kind.ok_or_else(|| Error::internal(format!("objects of kind {} are not collected", object.kind)))
    }

    /// Asks the apiserver about an owner that the graph does not show.
    async fn ask(&self, owner: &Identity) -> Result<Owner, Error> {
        let Ok(kind) = self.kind(owner) else {
            // A kind that is not followed here may still own something.
            return Ok(Owner::Solid);
        };
        match kind.get(&owner.namespace, &owner.name).await {
            Ok(live) if live.uid == owner.uid => {
                let waits = live.deletion_timestamp.is_some() && live.finalizers.iter().any(|held| held == FOREGROUND);
                Ok(if waits { Owner::Waiting } else { Owner::Solid })
            }
            Err(error) if !error.is_not_found() => Err(error),
            // Another object under its name is as good as none.
            Ok(_) | Err(_) => {
                self.graph.lock().note_absent(owner.clone());
                Ok(Owner::Absent)
            }
        }
    }

    /// Deletes the object if it is still what was judged.
    async fn delete(&self, object: &Identity, revision: String, policy: &str) -> Result<(), Error> {
        debug!(%object, policy, "collecting");
        let preconditions = Preconditions { uid: Some(object.uid.clone()), resource_version: Some(revision) };
        let options = DeleteOptions {
            preconditions: Some(preconditions),
            propagation_policy: Some(policy.to_owned()),
            ..DeleteOptions::default()
        };
        unless_gone(self.kind(object)?.delete(&object.namespace, &object.name, options).await)
    }

    /// Replaces the object's owner references if it is still what was judged.
    async fn set_owners(&self, object: &Identity, revision: &str, owners: Vec<OwnerReference>) -> Result<(), Error> {
        let owners = serde_json::to_value(owners).expect("owner references are plain data");
        self.patch(object, revision, "ownerReferences", owners).await
    }

    async fn patch(&self, object: &Identity, revision: &str, field: &str, value: Value) -> Result<(), Error> {
        let metadata = json!({ "uid": object.uid, "resourceVersion": revision, field: value });
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        unless_gone(self.kind(object)?.patch(&object.namespace, &object.name, &patch).await)
    }

    /// Takes a finalizer off an object, on its newest revision: others may have taken theirs off meanwhile.
    async fn finalize(&self, object: &Identity, finalizer: &str) -> Result<(), Error> {
        let live = match self.kind(object)?.get(&object.namespace, &object.name).await {
            Ok(live) => live,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if live.uid != object.uid || !live.finalizers.iter().any(|held| held == finalizer) {
            return Ok(());
        }
        let left: Vec<_> = live.finalizers.iter().filter(|held| *held != finalizer).collect();
        self.patch(object, &live.resource_version, "finalizers", json!(left)).await
    }

    async fn orphan(&self, owner: &Identity, dependents: Vec<Identity>) -> Result<(), Error> {
        let unlinked = stream::iter(dependents)
            .map(|dependent| async move { Box::pin(self.unlink(&dependent, &owner.uid)).await })
            .buffer_unordered(UNLINKED_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        // The owner may only go when all of them are free: one that still refers to it would be deleted.
        unlinked.into_iter().collect::<Result<Vec<()>, _>>()?;
        self.finalize(owner, ORPHAN).await
    }

    async fn unlink(&self, dependent: &Identity, owner: &str) -> Result<(), Error> {
        let (revision, owners) = {
            let graph = self.graph.lock();
            let Some(node) = graph.node(&dependent.uid) else { return Ok(()) };
            (node.resource_version.clone(), node.owners.clone())
        };
        let kept = owners.into_iter().filter(|reference| reference.uid != owner).collect();
        self.set_owners(dependent, &revision, kept).await
    }
}

/// An object that is gone needs nothing any more.
fn unless_gone(result: Result<(), Error>) -> Result<(), Error> {
    result.or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })
}
