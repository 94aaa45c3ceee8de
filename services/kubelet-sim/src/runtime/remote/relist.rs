//! Events of a runtime that tells none.
//!
//! CRI had no events for long; containerd tells them from 1.7 on. For what came before, this does what Kubernetes' kubelet does by default (its
//! "generic PLEG", the pod lifecycle event generator): it lists sandboxes and containers every second and compares with the last list.
//! This is the one place where asking again and again is right, for there is nobody who would tell. What the kubelet itself changed is
//! looked at right away.
//!
//! [`changes`] is pure: two lists in, what happened between them out. An event is completed with the sandbox's state as of now, so it
//! may already say what the next list will show; that one then only repeats it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cri::ContainerEventType as Kind;
use futures::StreamExt;
use futures::stream::unfold;
use jiff::Timestamp;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::RemoteRuntime;
use crate::cri;
use crate::runtime::{Events, Result, RuntimeService};

/// How often the lists are compared (Kubernetes' `genericPlegRelistPeriod`).
const PERIOD: Duration = Duration::from_secs(1);

/// What a runtime has, as its lists say it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// By id.
    sandboxes: BTreeMap<String, (cri::PodSandboxMetadata, cri::PodSandboxState)>,
    /// By sandbox and id.
    containers: BTreeMap<(String, String), cri::ContainerState>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// To a sandbox, or to a container in it.
    sandbox: String,
    /// The id of either.
    id: String,
    kind: Kind,
}

/// What happened between two lists: within a sandbox its own rise first and its own fall last, as it must have been.
fn changes(old: &Seen, new: &Seen) -> Vec<Change> {
    let mut rises = Vec::new();
    let mut falls = Vec::new();
    let note = |list: &mut Vec<Change>, sandbox: &str, id: &str, kind| {
        list.push(Change { sandbox: sandbox.to_owned(), id: id.to_owned(), kind });
    };
    for (id, (_, state)) in &new.sandboxes {
        match (old.sandboxes.get(id).map(|(_, state)| *state), *state) {
            (before, now) if before == Some(now) => {}
            (_, cri::PodSandboxState::SandboxReady) => note(&mut rises, id, id, Kind::ContainerStartedEvent),
            (_, cri::PodSandboxState::SandboxNotready) => note(&mut falls, id, id, Kind::ContainerStoppedEvent),
        }
    }
    let mut between = Vec::new();
    for ((sandbox, id), state) in &new.containers {
        let before = old.containers.get(&(sandbox.clone(), id.clone()));
        match state {
            now if before == Some(now) => {}
            cri::ContainerState::ContainerCreated => note(&mut between, sandbox, id, Kind::ContainerCreatedEvent),
            cri::ContainerState::ContainerRunning => note(&mut between, sandbox, id, Kind::ContainerStartedEvent),
            // What the runtime has lost track of does not run as far as anybody knows.
            cri::ContainerState::ContainerExited | cri::ContainerState::ContainerUnknown => {
                note(&mut between, sandbox, id, Kind::ContainerStoppedEvent);
            }
        }
    }
    for ((sandbox, id), state) in &old.containers {
        if !new.containers.contains_key(&(sandbox.clone(), id.clone())) {
            if *state == cri::ContainerState::ContainerRunning {
                note(&mut between, sandbox, id, Kind::ContainerStoppedEvent);
            }
            note(&mut between, sandbox, id, Kind::ContainerDeletedEvent);
        }
    }
    for (id, (_, state)) in &old.sandboxes {
        if !new.sandboxes.contains_key(id) {
            if *state == cri::PodSandboxState::SandboxReady {
                note(&mut falls, id, id, Kind::ContainerStoppedEvent);
            }
            note(&mut falls, id, id, Kind::ContainerDeletedEvent);
        }
    }
    [rises, between, falls].concat()
}

/// The changes from now on, as events. Ends after an error, when the runtime did not answer.
pub(super) async fn events(runtime: RemoteRuntime) -> Result<Events> {
    let seen = look(&runtime).await?;
    let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lister = Lister { runtime, seen, ticks, pending: VecDeque::new(), broken: false };
    Ok(unfold(lister, |mut lister| async move { lister.next().await.map(|event| (event, lister)) }).boxed())
}

struct Lister {
    runtime: RemoteRuntime,
    seen: Seen,
    ticks: Interval,
    pending: VecDeque<cri::ContainerEventResponse>,
    broken: bool,
}

impl Lister {
    async fn next(&mut self) -> Option<Result<cri::ContainerEventResponse>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            if self.broken {
                return None;
            }
            tokio::select! {
                _ = self.ticks.tick() => {}
                () = self.runtime.changed_here.notified() => {}
            }
            if let Err(error) = self.relist().await {
                self.broken = true;
                return Some(Err(error));
            }
        }
    }

    async fn relist(&mut self) -> Result<()> {
        let at = now();
        let new = look(&self.runtime).await?;
        let changes = changes(&self.seen, &new);
        let mut states: BTreeMap<String, State> = BTreeMap::new();
        for Change { sandbox, id, kind } in changes {
            if !states.contains_key(&sandbox) {
                states.insert(sandbox.clone(), self.state(&sandbox, &new).await?);
            }
            let (status, containers) = states[&sandbox].clone();
            self.pending.push_back(cri::ContainerEventResponse {
                container_id: id,
                container_event_type: kind.into(),
                created_at: at,
                pod_sandbox_status: Some(status),
                containers_statuses: containers,
            });
        }
        self.seen = new;
        Ok(())
    }

    /// The state of a sandbox; of one that is gone, what is still known.
    async fn state(&self, id: &str, new: &Seen) -> Result<State> {
        if new.sandboxes.contains_key(id) {
            match describe(&self.runtime, id).await {
                Err(error) if error.is_not_found() => {}
                described => return described,
            }
        }
        let metadata = self.seen.sandboxes.get(id).or(new.sandboxes.get(id)).map(|(metadata, _)| metadata.clone());
        let state = cri::PodSandboxState::SandboxNotready.into();
        Ok((cri::PodSandboxStatus { id: id.to_owned(), metadata, state, ..Default::default() }, Vec::new()))
    }
}

type State = (cri::PodSandboxStatus, Vec<cri::ContainerStatus>);

async fn describe(runtime: &RemoteRuntime, id: &str) -> Result<State> {
    let answer = runtime.pod_sandbox_status(id).await?;
    let filter = cri::ContainerFilter { pod_sandbox_id: id.to_owned(), ..Default::default() };
    let mut containers = Vec::new();
    for container in runtime.list_containers(Some(filter)).await? {
        match runtime.container_status(&container.id).await {
            Err(error) if error.is_not_found() => {}
            status => containers.push(status?),
        }
    }
    Ok((answer.status.unwrap_or_default(), containers))
}

async fn look(runtime: &RemoteRuntime) -> Result<Seen> {
    let mut seen = Seen::default();
    // Containers first: none of them is then without its sandbox, unless that is gone already.
    let containers = runtime.list_containers(None).await?;
    for sandbox in runtime.list_pod_sandbox(None).await? {
        let state = sandbox.state();
        seen.sandboxes.insert(sandbox.id, (sandbox.metadata.unwrap_or_default(), state));
    }
    for container in containers {
        let state = container.state();
        seen.containers.insert((container.pod_sandbox_id, container.id), state);
    }
    Ok(seen)
}

fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{
        ContainerCreatedEvent as Created, ContainerDeletedEvent as Deleted, ContainerStartedEvent as Started,
        ContainerStoppedEvent as Stopped,
    };

    /// `s` is a sandbox that is ready, `s-` one that is not; `s/c` a container: `+` runs, `-` has exited, `?` is lost, else is created.
    fn seen(words: &str) -> Seen {
        let mut seen = Seen::default();
        for word in words.split_whitespace() {
            let name = word.trim_end_matches(['+', '-', '?']);
            match name.split_once('/') {
                None => {
                    let down = word.ends_with('-');
                    let state =
                        if down { cri::PodSandboxState::SandboxNotready } else { cri::PodSandboxState::SandboxReady };
                    seen.sandboxes.insert(name.to_owned(), (cri::PodSandboxMetadata::default(), state));
                }
                Some((sandbox, id)) => {
                    let state = match word.chars().last() {
                        Some('+') => cri::ContainerState::ContainerRunning,
                        Some('-') => cri::ContainerState::ContainerExited,
                        Some('?') => cri::ContainerState::ContainerUnknown,
                        _ => cri::ContainerState::ContainerCreated,
                    };
                    seen.containers.insert((sandbox.to_owned(), id.to_owned()), state);
                }
            }
        }
        seen
    }

    #[test]
    fn two_lists_tell_what_happened_between_them() {
        for (old, new, happened) in [
            ("", "", vec![]),
            ("s s/a+", "s s/a+", vec![]),
            ("", "s", vec![("s", Started)]),
            ("s", "s s/a", vec![("a", Created)]),
            ("s s/a", "s s/a+", vec![("a", Started)]),
            ("s", "s s/a+", vec![("a", Started)]),
            ("s s/a+", "s s/a-", vec![("a", Stopped)]),
            // Came and went between two lists.
            ("s", "s s/a-", vec![("a", Stopped)]),
            ("s s/a+", "s s/a?", vec![("a", Stopped)]),
            ("s s/a-", "s", vec![("a", Deleted)]),
            // Vanished while it ran: it must have stopped.
            ("s s/a+", "s", vec![("a", Stopped), ("a", Deleted)]),
            ("s s/a", "s", vec![("a", Deleted)]),
            // A restart: the new attempt is another container.
            ("s s/a+", "s s/a- s/b+", vec![("a", Stopped), ("b", Started)]),
            ("s s/a+", "s- s/a-", vec![("a", Stopped), ("s", Stopped)]),
            ("s- s/a-", "", vec![("a", Deleted), ("s", Deleted)]),
            ("s s/a+", "", vec![("a", Stopped), ("a", Deleted), ("s", Stopped), ("s", Deleted)]),
            ("s", "s t t/a+", vec![("t", Started), ("a", Started)]),
            ("s- s/a-", "t t/b", vec![("t", Started), ("b", Created), ("a", Deleted), ("s", Deleted)]),
        ] {
            let told: Vec<_> = changes(&seen(old), &seen(new)).into_iter().map(|c| (c.id, c.kind)).collect();
            let happened: Vec<_> = happened.into_iter().map(|(id, kind)| (id.to_owned(), kind)).collect();
            assert_eq!(told, happened, "from {old:?} to {new:?}");
        }
    }
}
