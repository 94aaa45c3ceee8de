//! Pods that matter more than others: what keeps the node and the cluster going.
//!
//! They are admitted under pressure and never evicted for it. See
//! [critical pods](https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/).

use api::core::v1::Pod;

/// From here up, a priority is the system's own.
pub const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;
/// Where the pod comes from, written by the kubelet on pods that do not come from the apiserver.
const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// On the object in the apiserver that stands for a static pod.
const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";

/// Whether the pod was read from a file, not from the apiserver.
pub fn is_static(pod: &Pod) -> bool {
    pod.metadata.annotations.get(CONFIG_SOURCE).is_some_and(|source| source != "api")
}

/// Whether the pod is static, or has a priority of the system's.
pub fn is_critical(pod: &Pod) -> bool {
    is_static(pod)
        || pod.metadata.annotations.contains_key(CONFIG_MIRROR)
        || pod.spec.priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL_PRIORITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_pods_and_those_of_the_system_are_critical() {
        let annotated = |key: &str, value: &str| {
            let mut pod = Pod::default();
            pod.metadata.annotations.insert(key.to_owned(), value.to_owned());
            pod
        };
        let of_priority = |priority| {
            let mut pod = Pod::default();
            pod.spec.priority = priority;
            pod
        };
        let table = [
            (annotated(CONFIG_SOURCE, "file"), true),
            (annotated(CONFIG_SOURCE, "api"), false),
            (annotated(CONFIG_MIRROR, "hash"), true),
            (of_priority(None), false),
            (of_priority(Some(1_999_999_999)), false),
            (of_priority(Some(2_000_000_000)), true),
        ];
        for (pod, expected) in table {
            assert_eq!(is_critical(&pod), expected, "{:?} {:?}", pod.metadata.annotations, pod.spec.priority);
        }
    }
}
