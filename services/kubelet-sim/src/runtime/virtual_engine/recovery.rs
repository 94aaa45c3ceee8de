//! Between the engine's state and its journal, both ways.

use std::sync::Arc;

use super::VirtualEngine;
use super::images::name_of;
use super::inside::Change;
use super::journal::{ChangeRecord, ContainerRecord, ExitRecord, Record, SandboxRecord, Thing};
use super::packed::Packed;
use super::state::{Container, Exit, Life, Sandbox, State, memory_limit};
use crate::cri;

impl VirtualEngine {
    /// Takes up what an earlier process left. Containers whose time came while nobody looked exit at that very time.
    pub(super) fn recover(&self, records: Vec<Record>) {
        let mut state = self.state.lock();
        let mut due = Vec::new();
        for Record { id, thing, .. } in records {
            match thing {
                Some(Thing::Sandbox(record)) => {
                    let sandbox = sandbox(id, *record);
                    if let Some(address) = sandbox.address {
                        state.addresses.claim(address);
                    }
                    state.sandboxes.insert(sandbox.id.clone(), sandbox);
                }
                Some(Thing::Container(record)) => {
                    let Some(container) = self.container(&mut state, id, *record) else { continue };
                    if let Life::Running { exit: Some(exit), .. } = &container.life {
                        due.push((container.id.clone(), exit.at));
                    }
                    state.containers.insert(container.id.clone(), container);
                }
                Some(Thing::Image(image)) => {
                    state.images.insert(id, Arc::new(*image));
                }
                None => {}
            }
        }
        drop(state);
        for (container, at) in due {
            self.look_again(&container, at);
        }
    }

    fn container(&self, state: &mut State, id: String, record: ContainerRecord) -> Option<Container> {
        let sandbox = state.sandboxes.get_mut(&record.sandbox)?;
        let name = record.config.metadata.as_ref().map(|m| m.name.clone()).unwrap_or_default();
        // The annotations were checked when the container was made; only the catalogue may have changed since.
        let pod = sandbox.config.open();
        let behaviour = self.behaviour(name_of(&record.image), &pod, &name).unwrap_or_default();
        // The node's own record of it, unless that was removed meanwhile.
        let image = state.images.values().find(|image| image.id == record.image.id).cloned();
        let image = image.unwrap_or_else(|| Arc::new(record.image.clone()));
        sandbox.containers.push(id.clone());
        let exit = record.exit.clone().map(|exit| Exit {
            at: exit.at,
            code: exit.code,
            reason: exit.reason,
            message: exit.message,
        });
        let life = match (record.state(), exit) {
            (cri::ContainerState::ContainerExited, Some(exit)) => Life::Exited { started_at: record.started_at, exit },
            (cri::ContainerState::ContainerRunning, exit) => {
                Life::Running { started_at: record.started_at, exit, waiting: Vec::new() }
            }
            _ => Life::Created,
        };
        Some(Container {
            id,
            sandbox: record.sandbox,
            memory_limit: memory_limit(&record.config),
            config: Packed::new(&record.config),
            behaviour,
            image,
            created_at: record.created_at,
            hostname: pod.hostname.into(),
            changes: record
                .changes
                .into_iter()
                .map(|ChangeRecord { at, path, content }| Change { at, path, content })
                .collect(),
            inside: None,
            life,
        })
    }

    /// Journals the new state of a sandbox.
    pub(super) fn record_sandbox(&self, sandbox: &Sandbox) {
        self.record(&sandbox.id, || {
            Thing::Sandbox(Box::new(SandboxRecord {
                config: sandbox.config.open(),
                ready: sandbox.ready,
                created_at: sandbox.created_at,
                address: sandbox.address.map(|a| a.to_string()).unwrap_or_default(),
                runtime_handler: sandbox.runtime_handler.clone(),
            }))
        });
    }

    /// Journals the new state of a container.
    pub(super) fn record_container(&self, container: &Container) {
        self.record(&container.id, || {
            let (started_at, exit) = match &container.life {
                Life::Created => (0, None),
                Life::Running { started_at, exit, .. } => (*started_at, exit.as_ref()),
                Life::Exited { started_at, exit } => (*started_at, Some(exit)),
            };
            let exit = exit.map(|exit| ExitRecord {
                at: exit.at,
                code: exit.code,
                reason: exit.reason.clone(),
                message: exit.message.clone(),
            });
            Thing::Container(Box::new(ContainerRecord {
                sandbox: container.sandbox.clone(),
                config: container.config.open(),
                image: container.image.as_ref().clone(),
                created_at: container.created_at,
                state: container.state().into(),
                started_at,
                exit,
                changes: container
                    .changes
                    .iter()
                    .map(|Change { at, path, content }| ChangeRecord {
                        at: *at,
                        path: path.clone(),
                        content: content.clone(),
                    })
                    .collect(),
            }))
        });
    }

    /// Journals a new image.
    pub(super) fn record_image(&self, name: &str, image: &cri::Image) {
        self.record(name, || Thing::Image(Box::new(image.clone())));
    }

    /// Journals that something is gone.
    pub(super) fn record_removal(&self, id: &str) {
        if let Some(journal) = &self.journal {
            journal.write(Record { node: self.node.clone(), id: id.to_owned(), thing: None });
        }
    }

    fn record(&self, id: &str, thing: impl FnOnce() -> Thing) {
        if let Some(journal) = &self.journal {
            journal.write(Record { node: self.node.clone(), id: id.to_owned(), thing: Some(thing()) });
        }
    }
}

fn sandbox(id: String, record: SandboxRecord) -> Sandbox {
    Sandbox {
        id,
        config: Packed::new(&record.config),
        runtime_handler: record.runtime_handler,
        ready: record.ready,
        created_at: record.created_at,
        address: record.address.parse().ok(),
        containers: Vec::new(),
    }
}
