//! Containers: created, started once, stopped by signal and deadline, removed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::images::name_of;
use super::packed::Packed;
use super::state::{Container, Exit, Life, State, memory_limit, nanos};
use super::{VirtualEngine, new_id};
use crate::cri::{self, ContainerEventType};
use crate::runtime::{Result, RuntimeError};

impl VirtualEngine {
    pub(super) async fn make_container(&self, request: cri::CreateContainerRequest) -> Result<String> {
        let config = request.config.ok_or_else(|| RuntimeError::unknown("a container needs a config"))?;
        let sandbox_id = request.pod_sandbox_id;
        let pod = {
            let state = self.state.lock();
            let sandbox = state.sandboxes.get(&sandbox_id).ok_or_else(|| no_such("sandbox", &sandbox_id))?;
            sandbox.config.open()
        };
        let name = config.metadata.as_ref().map(|m| m.name.clone()).unwrap_or_default();
        let wanted = config.image.clone().unwrap_or_default();
        let image = self
            .find_image(&wanted)?
            .ok_or_else(|| RuntimeError::not_found(format!("failed to resolve image {:?}: not found", wanted.image)))?;
        let behaviour = self.behaviour(name_of(&image), &pod, &name)?;
        self.clock.sleep(behaviour.create_time).await;
        if let Some(error) = &behaviour.create_error {
            return Err(RuntimeError::unknown(error.clone()));
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let sandbox = state.sandboxes.get_mut(&sandbox_id).filter(|sandbox| sandbox.ready);
        let sandbox = sandbox.ok_or_else(|| RuntimeError::unknown(format!("sandbox {sandbox_id} is not running")))?;
        let container = Container {
            id: new_id(),
            sandbox: sandbox_id.clone(),
            memory_limit: memory_limit(&config),
            config: Packed::new(&config),
            behaviour,
            image,
            created_at: self.now(),
            hostname: pod.hostname.as_str().into(),
            changes: Vec::new(),
            inside: None,
            life: Life::Created,
        };
        let id = container.id.clone();
        sandbox.containers.push(id.clone());
        self.record_container(&container);
        state.containers.insert(id.clone(), container);
        self.publish(state, &sandbox_id, &id, ContainerEventType::ContainerCreatedEvent);
        Ok(id)
    }

    pub(super) async fn run_container(&self, id: &str) -> Result<()> {
        let behaviour = {
            let state = self.state.lock();
            Arc::clone(&state.containers.get(id).ok_or_else(|| no_such("container", id))?.behaviour)
        };
        self.clock.sleep(behaviour.start_time).await;
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let container = state.containers.get_mut(id).ok_or_else(|| no_such("container", id))?;
        if !matches!(container.life, Life::Created) {
            return Err(RuntimeError::unknown(format!("container {id} was started before")));
        }
        let now = self.now();
        if let Some(error) = &behaviour.start_error {
            // As containerd does: the attempt is over, and says that it never ran.
            let exit = Exit { at: now, code: 128, reason: "StartError".to_owned(), message: error.clone() };
            container.life = Life::Exited { started_at: 0, exit };
            self.record_container(container);
            let sandbox = container.sandbox.clone();
            self.publish(state, &sandbox, id, ContainerEventType::ContainerStoppedEvent);
            return Err(RuntimeError::unknown(error.clone()));
        }
        container.life = Life::Running { started_at: now, exit: None, waiting: Vec::new() };
        let exit = container.own_exit();
        let due = container.exit_no_later_than(exit);
        self.record_container(container);
        let sandbox = container.sandbox.clone();
        self.publish(state, &sandbox, id, ContainerEventType::ContainerStartedEvent);
        if let Some(at) = due {
            self.look_again(id, at);
        }
        Ok(())
    }

    /// Sends the stop signal, or kills at once when there is no time, and waits for the exit.
    pub(super) async fn end_container(&self, id: &str, timeout: Duration) {
        let exited = {
            let mut state = self.state.lock();
            let now = self.now();
            let Some(container) = state.containers.get_mut(id) else { return };
            let kill = Exit::killed(now.saturating_add(nanos(timeout + container.behaviour.kill_time)));
            if !timeout.is_zero() {
                let term = container.exit_on_term(now);
                container.exit_no_later_than(term);
            }
            match &container.life {
                Life::Running { .. } => {}
                Life::Created => return self.exit(&mut state, id, Exit::killed(now)),
                Life::Exited { .. } => return,
            }
            let at = container.exit_no_later_than(Some(kill)).unwrap_or(now);
            let (done, exited) = oneshot::channel();
            if let Life::Running { waiting, .. } = &mut container.life {
                waiting.push(done);
            }
            self.record_container(container);
            self.look_again(id, at);
            exited
        };
        // The sender is dropped without a word if the container is removed: it has exited then, too.
        let _ = exited.await;
    }

    pub(super) fn drop_container(&self, id: &str) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        self.exit(state, id, Exit::killed(self.now()));
        let Some(container) = state.containers.remove(id) else { return };
        if let Some(sandbox) = state.sandboxes.get_mut(&container.sandbox) {
            sandbox.containers.retain(|other| other != id);
        }
        self.record_removal(id);
        self.publish(state, &container.sandbox, id, ContainerEventType::ContainerDeletedEvent);
    }

    /// The timer wheel says that a container's time may have come.
    pub(super) fn look_at(&self, id: &str) {
        let mut state = self.state.lock();
        let Some(Life::Running { exit: Some(exit), .. }) = state.containers.get(id).map(|c| &c.life) else { return };
        let exit = exit.clone();
        if exit.at <= self.now() {
            self.exit(&mut state, id, exit);
        } else {
            self.look_again(id, exit.at);
        }
    }

    /// Ends a container that has not ended; one that never ran ends as well, so that it can never start.
    pub(super) fn exit(&self, state: &mut State, id: &str, exit: Exit) {
        let Some(container) = state.containers.get_mut(id) else { return };
        let started_at = match container.life {
            Life::Created => 0,
            Life::Running { started_at, .. } => started_at,
            Life::Exited { .. } => return,
        };
        let before = std::mem::replace(&mut container.life, Life::Exited { started_at, exit });
        container.inside = None;
        self.record_container(container);
        let sandbox = container.sandbox.clone();
        self.publish(state, &sandbox, id, ContainerEventType::ContainerStoppedEvent);
        self.changed.send_replace(());
        if let Life::Running { waiting, .. } = before {
            for stop in waiting {
                // Nobody waits any more if the call was given up.
                let _ = stop.send(());
            }
        }
    }
}

pub(super) fn no_such(kind: &str, id: &str) -> RuntimeError {
    RuntimeError::not_found(format!("{kind} {id:?}: not found"))
}
