//! Delete: at once, gracefully, or as soon as the last finalizer is gone.
//!
//! ```text
//!   delete ──▶ has a grace period ──▶ marked, its agent ends it and deletes again with grace 0 ──┐
//!          ├─▶ has finalizers ──────▶ marked, goes with the update that removes the last one    ├──▶ removed
//!          └─▶ neither ───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`plan`] decides, purely; a second delete may shorten a grace period that runs, and otherwise changes nothing
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>).

use api::meta::v1::{DeleteOptions, ListOptions, ObjectMeta, Preconditions};
use api::{Error, KindInfo, Resource};
use futures::StreamExt;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use telemetry::TraceContext;

use super::admission::{Attributes, Operation};
use super::answer::{Deleted, ListAnswer};
use super::strategy::Reservation;
use super::write::{Current, Decision};
use super::{Registry, intent, options};
use crate::request::RequestContext;

/// Dependents are deleted before their owner.
const FOREGROUND: &str = "foregroundDeletion";
/// Dependents are kept, and lose their owner.
const ORPHAN: &str = "orphan";

/// How many objects of a collection are deleted at once.
const CONCURRENT_DELETES: usize = 16;

/// What a delete does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is marked, or its mark changes.
    Mark,
    /// It is on its way out already, as fast as was asked for.
    Nothing,
    /// It goes.
    Remove,
}

impl<K: Resource> Registry<K> {
    /// Deletes an object, or sets its deletion going.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if a precondition does not hold, what admission says, and what the store says.
    pub async fn delete(
        &self,
        ctx: &RequestContext,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted<K>, Error> {
        let dry_run = options::is_dry_run(&options.dry_run, "DeleteOptions")?;
        options::check_delete(options)?;
        let mut current = self.current(namespace, name).await?;
        loop {
            let decision = self.decide_delete(ctx, &current, options, dry_run).await;
            if let Some(settled) = self.settle(ctx, &mut current, decision, dry_run).await? {
                return Ok(Deleted { object: settled.object, removed: settled.removed });
            }
        }
    }

    /// Deletes the listed objects, each as [`delete`](Self::delete) does, and answers with them as they were.
    ///
    /// # Errors
    /// Those of a list, and the first error of a delete; objects that are gone by then are no error.
    pub async fn delete_collection(
        &self,
        ctx: &RequestContext,
        namespace: &str,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<ListAnswer<K>, Error> {
        let found = self.list(ctx, namespace, list).await?;
        // Owned, because a future that borrows from an iterator's item cannot be proven to be Send.
        let deletes = found.items.clone().into_iter().map(|item| async move {
            match self.delete(ctx, item.namespace(), item.name(), options).await {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(()),
            }
        });
        let mut deletes = stream::iter(deletes).buffer_unordered(CONCURRENT_DELETES);
        while let Some(deleted) = deletes.next().await {
            deleted?;
        }
        drop(deletes);
        Ok(found)
    }

    async fn decide_delete(
        &self,
        ctx: &RequestContext,
        current: &Current,
        options: &DeleteOptions,
        dry_run: bool,
    ) -> Result<Decision<K>, Error> {
        let old: Box<K> = Box::new(current.object.decode());
        let attributes = Attributes::new::<K>(Operation::Delete, current.object.namespace(), current.object.name());
        let mut attributes = Attributes { dry_run, old_object: Some(&*old), ..attributes };
        self.admission().admit(ctx, &mut attributes).await?;
        check_preconditions(K::INFO, options.preconditions.as_ref(), old.metadata())?;
        self.admission().validate(ctx, &attributes).await?;
        let strategy = self.strategy();
        let (mut new, now) = (old.clone(), self.now());
        let grace = strategy.grace_period(&old, options.grace_period_seconds);
        let held = strategy.is_held(&old);
        let step = plan(new.metadata_mut(), grace, held, strategy.has_dependents(), options, now);
        new.metadata_mut().resource_version.clear();
        Ok(match step {
            Step::Nothing => Decision::Keep,
            // What its watchers will see is the last state that was stored, so the answer shows that too.
            Step::Remove => Decision::Remove(old),
            Step::Mark => {
                strategy.mark_deleting(&mut new, now);
                let first = old.metadata().deletion_timestamp.is_none();
                if first && strategy.records_trace() {
                    intent::on_delete(new.metadata_mut(), &TraceContext::current());
                }
                Decision::Write(new, Reservation::default())
            }
        })
    }
}

/// Works out what becomes of an object, and writes it into its metadata.
///
/// `grace` is how long the object may take, if its kind takes any time at all; `held`: something else than a finalizer keeps it.
fn plan(
    metadata: &mut ObjectMeta,
    grace: Option<i64>,
    held: bool,
    has_dependents: bool,
    options: &DeleteOptions,
    now: Timestamp,
) -> Step {
    let graceful = match grace.map(|grace| begin_or_shorten(metadata, grace, options.grace_period_seconds, now)) {
        None | Some(Grace::None) => false,
        Some(Grace::Set) => true,
        Some(Grace::Running) => return Step::Nothing,
    };
    if has_dependents {
        metadata.finalizers = finalizers(&metadata.finalizers, options);
    }
    let waits = held || !metadata.finalizers.is_empty();
    if !graceful {
        if !waits {
            return Step::Remove;
        }
        mark_without_grace(metadata, now);
        return Step::Mark;
    }
    match waits || metadata.deletion_grace_period_seconds > Some(0) {
        true => Step::Mark,
        false => Step::Remove,
    }
}

/// What a delete does to the time that an object has to stop.
enum Grace {
    /// It sets or shortens it.
    Set,
    /// Nothing: an earlier delete has given no more.
    Running,
    /// There is none, although an earlier delete has marked the object.
    None,
}

fn begin_or_shorten(metadata: &mut ObjectMeta, grace: i64, requested: Option<i64>, now: Timestamp) -> Grace {
    let after = |start: Timestamp, seconds: i64| {
        start.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX).into()
    };
    let Some(deadline) = metadata.deletion_timestamp else {
        metadata.deletion_timestamp = Some(after(now, grace));
        metadata.deletion_grace_period_seconds = Some(grace);
        bump_generation(metadata);
        return Grace::Set;
    };
    let Some(running) = metadata.deletion_grace_period_seconds else {
        return Grace::None;
    };
    match requested.map(at_least_now) {
        Some(shorter) if shorter < running => {
            let end = Timestamp::from_second(deadline.seconds).unwrap_or(now);
            metadata.deletion_timestamp = Some(after(end, shorter - running));
            metadata.deletion_grace_period_seconds = Some(shorter);
            Grace::Set
        }
        _ => Grace::Running,
    }
}

/// A negative grace period is as good as none, which is one second: zero is a decision of its own.
pub(super) fn at_least_now(seconds: i64) -> i64 {
    if seconds < 0 { 1 } else { seconds }
}

fn mark_without_grace(metadata: &mut ObjectMeta, now: Timestamp) {
    if metadata.deletion_timestamp.is_none() {
        bump_generation(metadata);
    }
    let in_the_past = metadata.deletion_timestamp.filter(|time| time.seconds <= now.as_second());
    metadata.deletion_timestamp = Some(in_the_past.unwrap_or_else(|| now.into()));
    metadata.deletion_grace_period_seconds = Some(0);
}

/// Deletion is a change of intent, for kinds that count these.
fn bump_generation(metadata: &mut ObjectMeta) {
    if metadata.generation > 0 {
        metadata.generation += 1;
    }
}

/// The finalizers with which the garbage collector is told what becomes of dependents: what the delete says, or else what the object
/// says.
fn finalizers(present: &[String], options: &DeleteOptions) -> Vec<String> {
    let has = |name: &str| present.iter().any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(policy)) => (policy == "Orphan", policy == "Foreground"),
        (None, None) => (has(ORPHAN), has(FOREGROUND) && !has(ORPHAN)),
    };
    if has(ORPHAN) == orphan && has(FOREGROUND) == foreground {
        return present.to_vec();
    }
    let others = present.iter().filter(|finalizer| ![ORPHAN, FOREGROUND].contains(&finalizer.as_str())).cloned();
    let asked = [(orphan, ORPHAN), (foreground, FOREGROUND)].into_iter().filter(|(wanted, _)| *wanted);
    others.chain(asked.map(|(_, name)| name.to_owned())).collect()
}

fn check_preconditions(kind: &KindInfo, expected: Option<&Preconditions>, found: &ObjectMeta) -> Result<(), Error> {
    let Some(Preconditions { uid, resource_version }) = expected else {
        return Ok(());
    };
    let conflict = |why: String| Err(Error::conflict(kind.group, kind.plural, &found.name, why));
    if let Some(uid) = uid.as_deref().filter(|uid| *uid != found.uid) {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            found.uid
        ));
    }
    if let Some(version) = resource_version.as_deref().filter(|version| *version != found.resource_version) {
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            found.resource_version
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
