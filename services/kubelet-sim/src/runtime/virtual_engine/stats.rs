//! What simulated containers use, as their settings say for their age.

use std::collections::BTreeMap;
use std::time::Duration;

use super::VirtualEngine;
use super::service::selects;
use super::state::Container;
use crate::cri;

impl VirtualEngine {
    /// What the running containers that match use now.
    pub(super) fn stats(&self, filter: &cri::ContainerStatsFilter) -> Vec<cri::ContainerStats> {
        let state = self.state.lock();
        let now = self.now();
        let wanted = |container: &&Container| {
            (filter.id.is_empty() || filter.id == container.id)
                && (filter.pod_sandbox_id.is_empty() || filter.pod_sandbox_id == container.sandbox)
        };
        let containers = state.containers.values().filter(wanted);
        containers.filter_map(|container| container.stats(now, &filter.label_selector)).collect()
    }
}

/// What statistics say of a container's configuration.
#[derive(Clone, PartialEq, prost::Message)]
struct Described {
    #[prost(message, optional, tag = "1")]
    metadata: Option<cri::ContainerMetadata>,
    #[prost(btree_map = "string, string", tag = "9")]
    labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "10")]
    annotations: BTreeMap<String, String>,
}

impl Container {
    /// `None`: it does not run, or has other labels.
    fn stats(&self, now: i64, selector: &BTreeMap<String, String>) -> Option<cri::ContainerStats> {
        let age = Duration::from_nanos(u64::try_from(now - self.running_since()?).unwrap_or(0));
        let Described { metadata, labels, annotations } = self.config.open_as();
        if !selects(selector, &labels) {
            return None;
        }
        let behaviour = &self.behaviour;
        let value = |value: u64| Some(cri::UInt64Value { value });
        let cores = behaviour.cpu_usage.at(age).copied().unwrap_or(0);
        let consumed: f64 =
            behaviour.cpu_usage.until(age).map(|(span, cores)| span.as_secs_f64() * *cores as f64).sum();
        let memory = behaviour.memory_usage.at(age).copied().unwrap_or(0);
        Some(cri::ContainerStats {
            attributes: Some(cri::ContainerAttributes { id: self.id.clone(), metadata, labels, annotations }),
            cpu: Some(cri::CpuUsage {
                timestamp: now,
                usage_core_nano_seconds: value(consumed as u64),
                usage_nano_cores: value(cores),
            }),
            memory: Some(cri::MemoryUsage {
                timestamp: now,
                working_set_bytes: value(memory),
                available_bytes: self.memory_limit.and_then(|limit| value(limit.saturating_sub(memory))),
                usage_bytes: value(memory),
                rss_bytes: value(memory),
                ..Default::default()
            }),
            writable_layer: Some(cri::FilesystemUsage {
                timestamp: now,
                fs_id: Some(cri::FilesystemIdentifier { mountpoint: super::service::STORAGE.to_owned() }),
                used_bytes: value(behaviour.disk_usage.at(age).copied().unwrap_or(0)),
                inodes_used: None,
            }),
        })
    }
}
