//! Sandboxes: made with an address, stopped with everything in them.

use super::packed::Packed;
use super::state::{Exit, Sandbox, host_network};
use super::{VirtualEngine, new_id};
use crate::cri::{self, ContainerEventType};
use crate::runtime::{Result, RuntimeError};

impl VirtualEngine {
    pub(super) async fn make_sandbox(&self, request: cri::RunPodSandboxRequest) -> Result<String> {
        let config = request.config.ok_or_else(|| RuntimeError::unknown("a sandbox needs a config"))?;
        let behaviour = self.behaviour("pause", &config, "")?;
        self.clock.sleep(behaviour.sandbox_time).await;
        if let Some(error) = &behaviour.sandbox_error {
            return Err(RuntimeError::unknown(error.clone()));
        }
        let mut state = self.state.lock();
        let address = if host_network(&config) {
            None
        } else {
            Some(
                state
                    .addresses
                    .take()
                    .map_err(|why| RuntimeError::unknown(format!("failed to setup network for sandbox: {why}")))?,
            )
        };
        let id = new_id();
        let sandbox = Sandbox {
            id: id.clone(),
            config: Packed::new(&config),
            runtime_handler: request.runtime_handler,
            ready: true,
            created_at: self.now(),
            address,
            containers: Vec::new(),
        };
        self.record_sandbox(&sandbox);
        state.sandboxes.insert(id.clone(), sandbox);
        self.publish(&state, &id, &id, ContainerEventType::ContainerStartedEvent);
        Ok(id)
    }

    pub(super) fn stop_sandbox(&self, id: &str) {
        let mut state = self.state.lock();
        let Some(sandbox) = state.sandboxes.get(id) else { return };
        if !sandbox.ready {
            return;
        }
        for container in sandbox.containers.clone() {
            self.exit(&mut state, &container, Exit::killed(self.now()));
        }
        let Some(sandbox) = state.sandboxes.get_mut(id) else { return };
        sandbox.ready = false;
        let address = sandbox.address.take();
        self.record_sandbox(sandbox);
        if let Some(address) = address {
            state.addresses.give_back(address);
        }
        self.publish(&state, id, id, ContainerEventType::ContainerStoppedEvent);
    }

    pub(super) fn remove_sandbox(&self, id: &str) {
        self.stop_sandbox(id);
        let mut state = self.state.lock();
        let Some(sandbox) = state.sandboxes.get_mut(id) else { return };
        for container in std::mem::take(&mut sandbox.containers) {
            state.containers.remove(&container);
            self.record_removal(&container);
        }
        // Subscribers still see the sandbox this once, to know which pod the event is about.
        self.publish(&state, id, id, ContainerEventType::ContainerDeletedEvent);
        state.sandboxes.remove(id);
        self.record_removal(id);
    }
}
