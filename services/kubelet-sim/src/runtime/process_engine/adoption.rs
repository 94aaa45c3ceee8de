//! Taking up what a predecessor left: what runs goes on, what is dead is put away.

use std::fs;
use std::sync::Arc;

use super::records::{self, ENDED};
use super::sandboxes::end_process;
use super::state::{Container, Life, Sandbox};
use super::{ProcessEngine, RuntimeError};
use crate::runtime::Result;

impl ProcessEngine {
    pub(super) async fn adopt(self: &Arc<Self>) -> Result<()> {
        let failed =
            |why: std::io::Error| RuntimeError::unknown(format!("cannot read what the last kubelet left: {why}"));
        let (sandboxes, unfinished) = self.records.sandboxes().map_err(failed)?;
        for folder in unfinished {
            end_process(&folder).await;
            records::remove(&folder).map_err(failed)?;
        }
        let (containers, unfinished) = self.records.containers().map_err(failed)?;
        for folder in unfinished {
            records::remove(&folder).map_err(failed)?;
        }
        let ready: Vec<String> =
            sandboxes.iter().filter(|record| record.ready).map(|record| record.id.clone()).collect();
        {
            let mut state = self.state.lock();
            for record in sandboxes {
                if let Some(address) = record.address {
                    self.network.adopt(&record.id, address);
                }
                let sandbox = Sandbox::new(record);
                if !sandbox.record.ready {
                    sandbox.gone.cancel();
                }
                state.sandboxes.insert(sandbox.record.id.clone(), sandbox);
            }
            for record in containers {
                let life = match records::read(&self.records.container(&record.id).join(ENDED)) {
                    Ok(ended) => Life::Ended(ended),
                    // Whether it runs is for its sandbox's process to say.
                    Err(_) => Life::Created,
                };
                state.containers.insert(record.id.clone(), Container::new(record, life));
            }
        }
        {
            let state = self.state.lock();
            let pods = state.sandboxes.values().filter_map(|sandbox| sandbox.pod_uid());
            self.policy.retain(&pods.collect::<Vec<_>>());
        }
        for id in &ready {
            self.hold(id).await;
        }
        self.put_away_the_dead().await
    }

    /// Containers that have not ended and whose sandbox has: nobody else will say so.
    async fn put_away_the_dead(&self) -> Result<()> {
        let lost: Vec<String> = {
            let state = self.state.lock();
            let alive = |sandbox: &str| state.sandboxes.get(sandbox).is_some_and(|sandbox| sandbox.record.ready);
            let containers = state.containers.values();
            let lost = containers.filter(|it| !matches!(it.life, Life::Ended(_)) && !alive(&it.record.sandbox));
            lost.map(|container| container.record.id.clone()).collect()
        };
        for id in lost {
            self.sweep(&id);
            self.ended(self.end_of(&id));
        }
        let homeless: Vec<String> = {
            let state = self.state.lock();
            let homeless = state.containers.values().filter(|it| !state.sandboxes.contains_key(&it.record.sandbox));
            homeless.map(|container| container.record.id.clone()).collect()
        };
        for id in homeless {
            self.state.lock().containers.remove(&id);
            // Tried again at the next start.
            let _ = fs::remove_dir_all(self.records.container(&id));
        }
        Ok(())
    }
}
