//! Pods. What STATUS says is decided in [`Summary`].
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

use super::{Column, Columns, NONE, age_of, column, or_none, wide};
use crate::print::age;
use api::core::v1::{ContainerState, ContainerStatus, Pod};
use api::pod_conditions::{INITIALIZED, POD_SCHEDULED, condition, is_finished, is_ready, is_true};
use api::pod_resources::is_sidecar;
use jiff::Timestamp;

impl Columns for Pod {
    const COLUMNS: &'static [Column] = &[
        column("NAME"),
        column("READY"),
        column("STATUS"),
        column("RESTARTS"),
        column("AGE"),
        wide("IP"),
        wide("NODE"),
        wide("NOMINATED NODE"),
        wide("READINESS GATES"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let summary = Summary::of(self);
        let ip = self.status.pod_ips.first().map_or(self.status.pod_ip.as_str(), |ip| ip.ip.as_str());
        vec![
            self.metadata.name.clone(),
            format!("{}/{}", summary.ready, summary.total),
            summary.status.clone(),
            summary.restarts(now),
            age_of(self, now),
            or_none(ip),
            or_none(&self.spec.node_name),
            or_none(&self.status.nominated_node_name),
            readiness_gates(self),
        ]
    }
}

fn readiness_gates(pod: &Pod) -> String {
    let gates = &pod.spec.readiness_gates;
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let passed = gates.iter().filter(|gate| is_true(&pod.status, &gate.condition_type)).count();
    format!("{passed}/{}", gates.len())
}

/// A pod in one word and three numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The phase, or what keeps the pod from it: `Running`, `Init:1/2`, `CrashLoopBackOff`, `Terminating`.
    pub(crate) status: String,
    /// Containers that are ready, sidecars included.
    ready: usize,
    /// Containers that can be.
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

/// Restarts, and when the last one was.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &ContainerStatus) {
        self.count += i64::from(container.restart_count);
        let finished = container.last_state.terminated.as_ref().and_then(|t| t.finished_at?.timestamp());
        self.last = self.last.max(finished);
    }
}

impl Summary {
    /// Works the summary out. Init containers are looked at in order and the first that is not done decides; of the others, the first that
    /// has a problem does.
    pub(crate) fn of(pod: &Pod) -> Summary {
        let sidecars = pod.spec.init_containers.iter().filter(|c| is_sidecar(c)).count();
        let mut summary = Summary {
            status: phase(pod),
            ready: 0,
            total: pod.spec.containers.len() + sidecars,
            restarts: 0,
            last_restart: None,
        };
        let (mut init_restarts, mut sidecar_restarts) = (Restarts::default(), Restarts::default());
        let initializing = summary.init_containers(pod, &mut init_restarts, &mut sidecar_restarts);
        let mut restarts = init_restarts;
        if !initializing || is_true(&pod.status, INITIALIZED) {
            restarts = sidecar_restarts;
            summary.containers(pod, &mut restarts);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if pod.status.reason == "NodeLost" {
                summary.status = "Unknown".to_owned();
            } else if !is_finished(pod) {
                summary.status = "Terminating".to_owned();
            }
        }
        Summary { restarts: restarts.count, last_restart: restarts.last, ..summary }
    }

    /// True if one of them is not done yet; the status says which, then.
    fn init_containers(&mut self, pod: &Pod, all: &mut Restarts, sidecars: &mut Restarts) -> bool {
        for (index, container) in pod.status.init_container_statuses.iter().enumerate() {
            let sidecar = pod.spec.init_containers.iter().any(|c| c.name == container.name && is_sidecar(c));
            all.add(container);
            if sidecar {
                sidecars.add(container);
            }
            self.status = match &container.state {
                ContainerState { terminated: Some(end), .. } if end.exit_code == 0 => continue,
                _ if sidecar && container.started == Some(true) => {
                    self.ready += usize::from(container.ready);
                    continue;
                }
                ContainerState { terminated: Some(end), .. } => match (end.reason.as_str(), end.signal) {
                    ("", 0) => format!("Init:ExitCode:{}", end.exit_code),
                    ("", signal) => format!("Init:Signal:{signal}"),
                    (reason, _) => format!("Init:{reason}"),
                },
                ContainerState { waiting: Some(waiting), .. }
                    if !waiting.reason.is_empty() && waiting.reason != "PodInitializing" =>
                {
                    format!("Init:{}", waiting.reason)
                }
                _ => format!("Init:{index}/{}", pod.spec.init_containers.len()),
            };
            return true;
        }
        false
    }

    fn containers(&mut self, pod: &Pod, restarts: &mut Restarts) {
        let mut is_running = false;
        // Backwards, so that the first container with a problem has the last word.
        for container in pod.status.container_statuses.iter().rev() {
            restarts.add(container);
            match &container.state {
                ContainerState { waiting: Some(waiting), .. } if !waiting.reason.is_empty() => {
                    self.status.clone_from(&waiting.reason);
                }
                ContainerState { terminated: Some(end), .. } => {
                    self.status = match (end.reason.as_str(), end.signal) {
                        ("", 0) => format!("ExitCode:{}", end.exit_code),
                        ("", signal) => format!("Signal:{signal}"),
                        (reason, _) => reason.to_owned(),
                    };
                }
                ContainerState { running: Some(_), .. } if container.ready => {
                    is_running = true;
                    self.ready += 1;
                }
                _ => {}
            }
        }
        if self.status == "Completed" && is_running {
            self.status = if is_ready(pod) { "Running" } else { "NotReady" }.to_owned();
        }
    }

    /// `0`, `3 (5m2s ago)`.
    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(last) if self.restarts > 0 => {
                format!("{} ({} ago)", self.restarts, age::duration(now.duration_since(last)))
            }
            _ => self.restarts.to_string(),
        }
    }
}

fn phase(pod: &Pod) -> String {
    let gated = condition(&pod.status, POD_SCHEDULED).is_some_and(|c| c.reason == "SchedulingGated");
    match (gated, pod.status.reason.as_str()) {
        (true, _) => "SchedulingGated".to_owned(),
        (false, "") => pod.status.phase.clone(),
        (false, reason) => reason.to_owned(),
    }
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
