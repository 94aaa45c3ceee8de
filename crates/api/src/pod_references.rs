//! The objects of the API that a pod refers to.

use crate::core::v1::{Container, EnvFromSource, EnvVar, Pod, VolumeProjection};

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

/// The config maps that a pod names, as often as it names them.
pub fn config_maps(pod: &Pod) -> impl Iterator<Item = &str> {
    let mounted =
        pod.spec.volumes.iter().filter_map(|v| Some(&v.volume_source.config_map.as_ref()?.local_object_reference));
    let projected = projections(pod).filter_map(|source| Some(&source.config_map.as_ref()?.local_object_reference));
    let keys =
        env(pod).filter_map(|v| Some(&v.value_from.as_ref()?.config_map_key_ref.as_ref()?.local_object_reference));
    let whole = env_from(pod).filter_map(|source| Some(&source.config_map_ref.as_ref()?.local_object_reference));
    mounted.chain(projected).chain(keys).chain(whole).map(|reference| reference.name.as_str())
}

/// The secrets that a pod names, those for pulling images included.
pub fn secrets(pod: &Pod) -> impl Iterator<Item = &str> {
    let mounted = pod.spec.volumes.iter().filter_map(|v| Some(v.volume_source.secret.as_ref()?.secret_name.as_str()));
    let pulls = pod.spec.image_pull_secrets.iter();
    let projected = projections(pod).filter_map(|source| Some(&source.secret.as_ref()?.local_object_reference));
    let keys = env(pod).filter_map(|v| Some(&v.value_from.as_ref()?.secret_key_ref.as_ref()?.local_object_reference));
    let whole = env_from(pod).filter_map(|source| Some(&source.secret_ref.as_ref()?.local_object_reference));
    mounted.chain(pulls.chain(projected).chain(keys).chain(whole).map(|reference| reference.name.as_str()))
}

/// The kind of object, as a plural, that keeps a pod from running without the API; `None`: it needs none. Kubernetes' order.
pub fn first_kind(pod: &Pod) -> Option<&'static str> {
    let volumes = || pod.spec.volumes.iter().map(|volume| &volume.volume_source);
    if !pod.spec.service_account_name.is_empty() || !pod.spec.service_account.is_empty() {
        Some("serviceaccounts")
    } else if secrets(pod).next().is_some() {
        Some("secrets")
    } else if config_maps(pod).next().is_some() {
        Some("configmaps")
    } else if !pod.spec.resource_claims.is_empty() {
        Some("resourceclaims")
    } else if volumes().any(|source| source.persistent_volume_claim.is_some() || source.ephemeral.is_some()) {
        Some("persistentvolumeclaims")
    } else if projections(pod).any(|part| part.cluster_trust_bundle.is_some()) {
        Some("clustertrustbundles")
    } else if projections(pod).any(|part| part.service_account_token.is_some()) {
        Some("serviceaccounts")
    } else {
        None
    }
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
    }

    #[test]
    fn the_first_kind_is_named() {
        for (spec, expected) in [
            (
                serde_json::json!({"containers": [{"name": "c"}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
                None,
            ),
            (
                serde_json::json!({"serviceAccountName": "a", "imagePullSecrets": [{"name": "s"}]}),
                Some("serviceaccounts"),
            ),
            (serde_json::json!({"imagePullSecrets": [{"name": "s"}]}), Some("secrets")),
            (serde_json::json!({"containers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]}), Some("configmaps")),
            (
                serde_json::json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}),
                Some("persistentvolumeclaims"),
            ),
            (
                serde_json::json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
                Some("serviceaccounts"),
            ),
        ] {
            let pod: Pod = serde_json::from_value(serde_json::json!({"spec": spec})).unwrap();
            assert_eq!(first_kind(&pod), expected, "{spec}");
        }
    }
}
