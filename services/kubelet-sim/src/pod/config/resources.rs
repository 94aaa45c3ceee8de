//! What a pod's containers may use, in the kernel's units.

use std::collections::BTreeMap;

use api::core::v1::{Container, Pod};
use api::qos::{QosClass, qos_class};
use api::resource::Quantity;

use crate::cri;

/// Microseconds in which a container may use its quota of CPU time (`--cpu-cfs-quota-period` of Kubernetes).
const PERIOD: i64 = 100_000;

/// Whom the kernel kills when memory runs out: 1000 first, -1000 never. As in Kubernetes a guaranteed pod comes after everything but the
/// node's own daemons, and what asked for little before what asked for much.
const GUARANTEED: i64 = -997;
const BEST_EFFORT: i64 = 1_000;

/// The control group above a pod's containers, by its class as a path; for some runtimes it gets another name on the way.
pub(super) fn cgroup_parent(pod: &Pod) -> String {
    let class = match qos_class(&pod.spec) {
        QosClass::Guaranteed => "",
        QosClass::Burstable => "/burstable",
        QosClass::BestEffort => "/besteffort",
    };
    format!("/kubepods{class}/pod{}", pod.metadata.uid)
}

/// One container's share.
pub(super) fn of_container(pod: &Pod, container: &Container, node_memory: i64) -> cri::LinuxContainerResources {
    let amount = |list: &BTreeMap<String, Quantity>, name: &str| list.get(name).map(Quantity::amount_or_zero);
    let resources = &container.resources;
    let limit = amount(&resources.limits, "cpu").map_or(0, |amount| amount.milli_value());
    let request = amount(&resources.requests, "cpu").map_or(limit, |amount| amount.milli_value());
    let memory = amount(&resources.requests, "memory").map_or(0, |amount| amount.value());
    cri::LinuxContainerResources {
        cpu_period: if limit > 0 { PERIOD } else { 0 },
        // The kernel takes no quota below a millisecond.
        cpu_quota: if limit > 0 { (limit * PERIOD / 1_000).max(1_000) } else { 0 },
        // 1024 for a whole CPU.
        cpu_shares: (request * 1_024 / 1_000).clamp(2, 262_144),
        memory_limit_in_bytes: amount(&resources.limits, "memory").map_or(0, |amount| amount.value()),
        oom_score_adj: oom_score_adj(qos_class(&pod.spec), memory, node_memory),
        ..Default::default()
    }
}

fn oom_score_adj(class: QosClass, requested: i64, of_node: i64) -> i64 {
    match class {
        QosClass::Guaranteed => GUARANTEED,
        QosClass::BestEffort => BEST_EFFORT,
        QosClass::Burstable => {
            let share = i128::from(requested) * 1_000 / i128::from(of_node.max(1));
            let score = 1_000 - i64::try_from(share).unwrap_or(1_000);
            score.clamp(1_000 + GUARANTEED, BEST_EFFORT - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: i64 = 1 << 30;

    #[test]
    fn who_asked_for_little_is_killed_before_who_asked_for_much() {
        for (class, requested, score) in [
            (QosClass::Guaranteed, GIB, -997),
            (QosClass::BestEffort, 0, 1_000),
            (QosClass::Burstable, 0, 999),
            (QosClass::Burstable, GIB, 875),
            (QosClass::Burstable, 8 * GIB, 3),
            (QosClass::Burstable, 80 * GIB, 3),
        ] {
            assert_eq!(oom_score_adj(class, requested, 8 * GIB), score, "{class} with {requested}");
        }
    }

    #[test]
    fn limits_and_requests_become_the_kernels_units() {
        let of = |json: serde_json::Value| {
            let pod: Pod = serde_json::from_value(serde_json::json!({
                "metadata": {"uid": "u1"}, "spec": {"containers": [{"name": "c", "resources": json}]}
            }))
            .unwrap();
            let of_container = of_container(&pod, &pod.spec.containers[0], 8 * GIB);
            (cgroup_parent(&pod), of_container)
        };
        let (parent, nothing) = of(serde_json::json!({}));
        assert_eq!(parent, "/kubepods/besteffort/podu1");
        assert_eq!((nothing.cpu_shares, nothing.cpu_quota, nothing.memory_limit_in_bytes), (2, 0, 0));
        let (parent, some) =
            of(serde_json::json!({"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}));
        assert_eq!(parent, "/kubepods/burstable/podu1");
        assert_eq!((some.cpu_shares, some.cpu_quota, some.cpu_period), (256, 50_000, 100_000));
        assert_eq!(some.memory_limit_in_bytes, 64 << 20);
        let (parent, all) =
            of(serde_json::json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}));
        assert_eq!((parent.as_str(), all.oom_score_adj), ("/kubepods/podu1", -997));
        let (_, tiny) = of(serde_json::json!({"limits": {"cpu": "1m"}}));
        assert_eq!((tiny.cpu_shares, tiny.cpu_quota), (2, 1_000), "the kernel takes no less");
    }
}
