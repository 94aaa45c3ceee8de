//! What the node authorizer asks of the pods, answered from their cache.

use api::core::v1::{Container, EnvFromSource, EnvVar, Pod, VolumeProjection};

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

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.init_containers.iter().chain(&pod.spec.containers)
}

fn env(pod: &Pod) -> impl Iterator<Item = &EnvVar> {
    containers(pod).flat_map(|container| &container.env)
}

fn env_from(pod: &Pod) -> impl Iterator<Item = &EnvFromSource> {
    containers(pod).flat_map(|container| &container.env_from)
}

fn projections(pod: &Pod) -> impl Iterator<Item = &VolumeProjection> {
    pod.spec.volumes.iter().filter_map(|volume| volume.volume_source.projected.as_ref()).flat_map(|p| &p.sources)
}

fn config_maps(pod: &Pod) -> impl Iterator<Item = &str> {
    let mounted =
        pod.spec.volumes.iter().filter_map(|v| Some(&v.volume_source.config_map.as_ref()?.local_object_reference));
    let projected = projections(pod).filter_map(|source| Some(&source.config_map.as_ref()?.local_object_reference));
    let keys =
        env(pod).filter_map(|v| Some(&v.value_from.as_ref()?.config_map_key_ref.as_ref()?.local_object_reference));
    let whole = env_from(pod).filter_map(|source| Some(&source.config_map_ref.as_ref()?.local_object_reference));
    mounted.chain(projected).chain(keys).chain(whole).map(|reference| reference.name.as_str())
}

fn secrets(pod: &Pod) -> impl Iterator<Item = &str> {
    let mounted = pod.spec.volumes.iter().filter_map(|v| Some(v.volume_source.secret.as_ref()?.secret_name.as_str()));
    let pulls = pod.spec.image_pull_secrets.iter();
    let projected = projections(pod).filter_map(|source| Some(&source.secret.as_ref()?.local_object_reference));
    let keys = env(pod).filter_map(|v| Some(&v.value_from.as_ref()?.secret_key_ref.as_ref()?.local_object_reference));
    let whole = env_from(pod).filter_map(|source| Some(&source.secret_ref.as_ref()?.local_object_reference));
    mounted.chain(pulls.chain(projected).chain(keys).chain(whole).map(|reference| reference.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_use_an_object_counts() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "spec": {
                "serviceAccountName": "robot",
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [
                    {"name": "a", "configMap": {"name": "files"}},
                    {"name": "b", "secret": {"secretName": "keys"}},
                    {"name": "c", "projected": {"sources": [{"configMap": {"name": "part"}}, {"secret": {"name": "share"}}]}},
                ],
                "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "early"}}]}],
                "containers": [{
                    "name": "c",
                    "env": [
                        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "k"}}},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "two", "key": "k"}}},
                    ],
                    "envFrom": [{"configMapRef": {"name": "all"}}],
                }],
            },
        }))
        .unwrap();
        assert_eq!(config_maps(&pod).collect::<Vec<_>>(), ["files", "part", "one", "all"]);
        assert_eq!(secrets(&pod).collect::<Vec<_>>(), ["keys", "registry", "share", "two", "early"]);
        assert!(pod_uses(&pod, "serviceaccounts", "robot"));
        assert!(!pod_uses(&pod, "configmaps", "keys") && !pod_uses(&pod, "nodes", "robot"));
    }
}
