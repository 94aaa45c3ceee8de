//! What the node authorizer asks of the pods, answered from their cache.

use api::core::v1::Pod;
use api::pod_references::{config_maps, secrets};

use super::BoundPods;
use crate::registry::Lookup;

/// The pods of the watch cache.
pub struct CachedPods(pub Lookup<Pod>);

impl BoundPods for CachedPods {
    fn is_bound(&self, namespace: &str, pod: &str, node: &str) -> bool {
        self.0.get(namespace, pod).is_some_and(|pod| pod.spec.node_name == node)
    }

    /// Walks the namespace's pods: asked only when a node reads a config map or secret, once per pod that starts.
    fn uses(&self, node: &str, resource: &str, namespace: &str, name: &str) -> bool {
        self.0.list(namespace).iter().any(|pod| pod.spec.node_name == node && pod_uses(pod, resource, name))
    }
}

fn pod_uses(pod: &Pod, resource: &str, name: &str) -> bool {
    match resource {
        "configmaps" => config_maps(pod).any(|used| used == name),
        "secrets" => secrets(pod).any(|used| used == name),
        "serviceaccounts" => pod.spec.service_account_name == name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_uses_what_it_names() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "spec": {
                "serviceAccountName": "robot",
                "volumes": [{"name": "a", "configMap": {"name": "files"}}, {"name": "b", "secret": {"secretName": "keys"}}],
            },
        }))
        .unwrap();
        assert!(pod_uses(&pod, "serviceaccounts", "robot"));
        assert!(pod_uses(&pod, "configmaps", "files") && pod_uses(&pod, "secrets", "keys"));
        assert!(!pod_uses(&pod, "configmaps", "keys") && !pod_uses(&pod, "nodes", "robot"));
    }
}
