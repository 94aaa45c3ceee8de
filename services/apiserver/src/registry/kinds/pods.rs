//! Pods: created pending, deleted gracefully, watched by node.

use api::core::v1::Pod;
use api::field::ErrorList;
use api::pod_conditions::is_finished;
use api::qos::qos_class;
use api::{defaults, validation};

use crate::registry::delete::at_least_now;
use crate::registry::strategy::Strategy;

/// The rules of Pods.
pub(crate) struct Pods;

/// The field that says where a pod is; every kubelet watches the pods that have its node there.
const NODE_NAME: &str = "spec.nodeName";

impl Strategy<Pod> for Pods {
    fn index(&self) -> Option<&'static str> {
        Some(NODE_NAME)
    }

    fn field_names(&self) -> &'static [&'static str] {
        &[
            NODE_NAME,
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]
    }

    fn fields(&self, pod: &Pod) -> Vec<(&'static str, String)> {
        let ips: Vec<_> = pod.status.pod_ips.iter().map(|ip| ip.ip.as_str()).collect();
        vec![
            (NODE_NAME, pod.spec.node_name.clone()),
            ("spec.restartPolicy", pod.spec.restart_policy.clone()),
            ("spec.schedulerName", pod.spec.scheduler_name.clone()),
            ("spec.serviceAccountName", pod.spec.service_account_name.clone()),
            ("spec.hostNetwork", pod.spec.host_network.to_string()),
            ("status.phase", pod.status.phase.clone()),
            ("status.podIP", pod.status.pod_ip.clone()),
            ("status.podIPs", ips.join(",")),
            ("status.nominatedNodeName", pod.status.nominated_node_name.clone()),
        ]
    }

    fn set_defaults(&self, pod: &mut Pod) {
        defaults::pod(pod);
    }

    fn copy_status(&self, from: &Pod, to: &mut Pod) {
        to.status = from.status.clone();
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, pod: &mut Pod) {
        pod.status.phase = "Pending".to_owned();
        pod.status.qos_class = qos_class(&pod.spec).as_str().to_owned();
    }

    fn prepare_for_status_update(&self, new: &mut Pod, old: &Pod) {
        // Set once, from the spec; a status writer that leaves it out does not mean to take it away.
        new.status.qos_class.clone_from(&old.status.qos_class);
    }

    fn changes_intent(&self, new: &Pod, old: &Pod) -> bool {
        new.spec != old.spec
    }

    fn validate(&self, pod: &Pod) -> ErrorList {
        validation::pod::create(pod)
    }

    fn validate_update(&self, new: &Pod, old: &Pod) -> ErrorList {
        validation::pod::update(new, old)
    }

    fn validate_status_update(&self, new: &Pod, old: &Pod) -> ErrorList {
        validation::pod::status_update(new, old)
    }

    fn grace_period(&self, pod: &Pod, requested: Option<i64>) -> Option<i64> {
        // Nobody has to be asked to stop what never ran, or has ended.
        if pod.spec.node_name.is_empty() || is_finished(pod) {
            return Some(0);
        }
        Some(at_least_now(requested.or(pod.spec.termination_grace_period_seconds).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d13_only_a_pod_that_runs_somewhere_gets_time_to_stop() {
        let pod = |node: &str, phase: &str, seconds: Option<i64>| {
            let mut pod = Pod::default();
            pod.spec.node_name = node.to_owned();
            pod.spec.termination_grace_period_seconds = seconds;
            pod.status.phase = phase.to_owned();
            pod
        };
        let table = [
            ("its own", pod("n", "Running", Some(30)), None, 30),
            ("the client's", pod("n", "Running", Some(30)), Some(5), 5),
            ("longer than its own", pod("n", "Running", Some(30)), Some(60), 60),
            ("now", pod("n", "Running", Some(30)), Some(0), 0),
            ("a negative one", pod("n", "Running", Some(30)), Some(-1), 1),
            ("none said", pod("n", "Pending", None), None, 0),
            ("never scheduled", pod("", "Pending", Some(30)), Some(60), 0),
            ("succeeded", pod("n", "Succeeded", Some(30)), None, 0),
            ("failed", pod("n", "Failed", Some(30)), None, 0),
        ];
        for (case, pod, requested, expected) in table {
            assert_eq!(Pods.grace_period(&pod, requested), Some(expected), "{case}");
        }
    }
}
