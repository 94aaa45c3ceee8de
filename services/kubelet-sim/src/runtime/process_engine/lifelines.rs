//! The engine's connection to each sandbox process: how it learns of ends, and how the process learns that there is an engine.
//!
//! A process whose connection ends, and that answers no other, is dead; then so is all that it started, and the sandbox is not ready any
//! more. What the dead could not record is recorded here.

use std::io;
use std::sync::Arc;

use tokio::net::UnixStream;

use super::ProcessEngine;
use super::records::{self, ENDED, SPEC};
use super::sandbox::wire::{self, Ended, Reply, Request, Started};
use super::spec::ContainerSpec;
use super::state::{Life, State};
use crate::cri::ContainerEventType;

impl ProcessEngine {
    /// Connects to a sandbox's process and stays connected. Returns when what runs in it is known.
    pub(super) async fn hold(self: &Arc<Self>, id: &str) {
        let Some(lifeline) = self.watch(id).await else { return self.lost(id).await };
        let (engine, id) = (Arc::clone(self), id.to_owned());
        tokio::spawn(async move {
            let abandoned = engine.lifelines.clone();
            abandoned.run_until_cancelled(engine.listen(&id, lifeline)).await;
        });
    }

    async fn listen(&self, id: &str, mut lifeline: UnixStream) {
        loop {
            while let Ok(Some((Reply::Ended(ended), _))) = wire::receive(&lifeline).await {
                self.ended(ended);
            }
            // Cut off, or dead?
            match self.watch(id).await {
                Some(again) => lifeline = again,
                None => return self.lost(id).await,
            }
        }
    }

    /// Connects, and takes in what runs.
    async fn watch(&self, id: &str) -> Option<UnixStream> {
        let lifeline = wire::dial(&self.records.sandbox(id)).ok()?;
        wire::send(&lifeline, &Request::Watch, &[]).await.ok()?;
        let Ok(Some((Reply::Running(running), _))) = wire::receive(&lifeline).await else { return None };
        let over: Vec<String> = {
            let state = self.state.lock();
            let runs = |id: &str| running.iter().any(|started| started.id == id);
            // One that was about to start may have run and ended while nobody was there; then that is on the disk.
            let thought = state.containers_of(id).filter(|container| match container.life {
                Life::Created => self.records.container(&container.record.id).join(ENDED).exists(),
                Life::Running(_) => true,
                Life::Ended(_) => false,
            });
            thought.map(|container| container.record.id.clone()).filter(|id| !runs(id)).collect()
        };
        over.iter().for_each(|id| self.ended(self.end_of(id)));
        running.into_iter().for_each(|started| self.started(started));
        Some(lifeline)
    }

    /// A container runs. Said twice, by the answer to its start and by the process's list, it happens once.
    pub(super) fn started(&self, started: Started) {
        let mut guard = self.state.lock();
        self.take_start(&mut guard, started);
    }

    fn take_start(&self, state: &mut State, started: Started) {
        let id = started.id.clone();
        let Some(container) = state.containers.get_mut(&id) else { return };
        if !matches!(container.life, Life::Created) {
            return;
        }
        container.life = Life::Running(started);
        let sandbox = container.record.sandbox.clone();
        self.publish(state, &sandbox, &id, ContainerEventType::ContainerStartedEvent);
    }

    /// A container has ended.
    pub(super) fn ended(&self, ended: Ended) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(container) = state.containers.get_mut(&ended.id) else { return };
        if matches!(container.life, Life::Ended(_)) {
            return;
        }
        // It may have ended before its start was answered: whoever listens sees both.
        if matches!(container.life, Life::Created) && ended.started_at > 0 {
            container.life = Life::Running(Started {
                id: ended.id.clone(),
                pid: 0,
                at: ended.started_at,
                account: Default::default(),
            });
            let sandbox = container.record.sandbox.clone();
            self.publish(state, &sandbox, &ended.id, ContainerEventType::ContainerStartedEvent);
        }
        let id = ended.id.clone();
        let Some(container) = state.containers.get_mut(&id) else { return };
        container.life = Life::Ended(ended);
        container.ended.send_replace(true);
        let sandbox = container.record.sandbox.clone();
        self.publish(state, &sandbox, &id, ContainerEventType::ContainerStoppedEvent);
    }

    /// How a container ended that does not run, from the disk; or, if nobody could write it down, that it was killed.
    pub(super) fn end_of(&self, id: &str) -> Ended {
        let file = self.records.container(id).join(ENDED);
        records::read(&file).unwrap_or_else(|_| {
            let started_at = match self.state.lock().containers.get(id).map(|container| &container.life) {
                Some(Life::Running(started)) => started.at,
                _ => 0,
            };
            let ended = Ended {
                id: id.to_owned(),
                started_at,
                at: self.now(),
                code: 137,
                reason: "Error".to_owned(),
                message: String::new(),
            };
            // Lost once more, it is made up again.
            let _ = records::write(&file, &ended);
            ended
        })
    }

    /// Kills what may be left of a container whose sandbox process could not see to it.
    pub(super) fn sweep(&self, id: &str) {
        let cgroup = self.container_spec(id).map(|spec| spec.confinement.cgroup(id));
        if let Err(why) = cgroup.and_then(|cgroup| cgroup.remove()) {
            tracing::warn!(container = id, "cannot remove a control group: {why}");
        }
    }

    /// What a container was made of.
    pub(super) fn container_spec(&self, id: &str) -> io::Result<ContainerSpec> {
        records::read(&self.records.container(id).join(SPEC))
    }

    /// A sandbox's process is dead: so is everything in the sandbox, whose network is given back.
    pub(super) async fn lost(&self, id: &str) {
        let containers: Vec<String> = {
            let state = self.state.lock();
            let alive = state.containers_of(id).filter(|container| !matches!(container.life, Life::Ended(_)));
            alive.map(|container| container.record.id.clone()).collect()
        };
        let Some(engine) = self.me.upgrade() else { return };
        let sandbox = id.to_owned();
        let swept = containers.clone();
        // It only fails if it panics.
        let _ = tokio::task::spawn_blocking(move || {
            swept.iter().for_each(|container| engine.sweep(container));
            engine.network.detach(&sandbox);
        })
        .await;
        containers.iter().for_each(|id| self.ended(self.end_of(id)));
        let mut guard = self.state.lock();
        let Some(sandbox) = guard.sandboxes.get_mut(id) else { return };
        sandbox.record.ready = false;
        sandbox.record.address = None;
        if let Err(why) = self.records.write_sandbox(&sandbox.record) {
            tracing::warn!(sandbox = id, "cannot record that a sandbox has ended: {why}");
        }
        let gone = sandbox.gone.clone();
        self.publish(&guard, id, id, ContainerEventType::ContainerStoppedEvent);
        gone.cancel();
    }
}
