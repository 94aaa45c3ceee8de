//! What files a volume holds that is made from objects of the API: config map, secret, downward API, or several of them projected.
//!
//! Pure: from the volume's spec and what is known of the objects to paths, bytes and modes. The errors are Kubernetes' words, to follow
//! `MountVolume.SetUp failed for volume "x" : `.

use std::collections::BTreeMap;

use api::core::v1::{DownwardApiVolumeFile, KeyToPath, Pod, VolumeProjection, VolumeSource};

use crate::pod::downward::{self, Surroundings};
use crate::pod::sources::{Content, Known, Reference, SourceKind};

/// Kubernetes' default where neither the item nor the volume says otherwise.
const DEFAULT_MODE: i32 = 0o644;

/// The files of a volume by their paths in it.
pub(super) type Files = BTreeMap<String, File>;

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) data: Vec<u8>,
    /// Permission bits.
    pub(super) mode: u32,
}

/// What is known of the objects that a pod refers to.
pub(super) trait Lookup {
    /// The newest state.
    fn get(&self, reference: &Reference) -> Known;
}

/// Everything that the content of a pod's volumes depends on.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) pod: &'a Pod,
    pub(super) around: Surroundings<'a>,
    pub(super) objects: &'a dyn Lookup,
}

/// The objects that a volume is made from.
pub(super) fn references<'a>(namespace: &str, source: &'a VolumeSource) -> impl Iterator<Item = Reference> + use<'a> {
    let mut found: Vec<(SourceKind, &str)> = Vec::new();
    if let Some(map) = &source.config_map {
        found.push((SourceKind::ConfigMap, &map.local_object_reference.name));
    }
    if let Some(secret) = &source.secret {
        found.push((SourceKind::Secret, &secret.secret_name));
    }
    for part in source.projected.iter().flat_map(|projected| &projected.sources) {
        if let Some(map) = &part.config_map {
            found.push((SourceKind::ConfigMap, &map.local_object_reference.name));
        }
        if let Some(secret) = &part.secret {
            found.push((SourceKind::Secret, &secret.local_object_reference.name));
        }
    }
    let namespace = namespace.to_owned();
    found.into_iter().map(move |(kind, name)| Reference { kind, namespace: namespace.clone(), name: name.to_owned() })
}

/// The files of a volume; `None` if it is none of those kinds.
pub(super) fn files(input: Input<'_>, source: &VolumeSource) -> Result<Option<Files>, String> {
    let mut files = Files::new();
    if let Some(map) = &source.config_map {
        let picked = Picked { items: &map.items, mode: map.default_mode, optional: map.optional == Some(true) };
        picked.from(input, SourceKind::ConfigMap, &map.local_object_reference.name, &mut files)?;
    } else if let Some(secret) = &source.secret {
        let picked =
            Picked { items: &secret.items, mode: secret.default_mode, optional: secret.optional == Some(true) };
        picked.from(input, SourceKind::Secret, &secret.secret_name, &mut files)?;
    } else if let Some(downward) = &source.downward_api {
        describe(input, &downward.items, downward.default_mode, &mut files)?;
    } else if let Some(projected) = &source.projected {
        // All that is wrong is told at once.
        let wrong: Vec<String> = (projected.sources.iter())
            .filter_map(|part| project(input, part, projected.default_mode, &mut files).err())
            .collect();
        match wrong.as_slice() {
            [] => {}
            [one] => return Err(one.clone()),
            several => return Err(format!("[{}]", several.join(", "))),
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

fn project(input: Input<'_>, part: &VolumeProjection, mode: Option<i32>, files: &mut Files) -> Result<(), String> {
    if let Some(map) = &part.config_map {
        let picked = Picked { items: &map.items, mode, optional: map.optional == Some(true) };
        picked.from(input, SourceKind::ConfigMap, &map.local_object_reference.name, files)?;
    }
    if let Some(secret) = &part.secret {
        let picked = Picked { items: &secret.items, mode, optional: secret.optional == Some(true) };
        picked.from(input, SourceKind::Secret, &secret.local_object_reference.name, files)?;
    }
    if let Some(downward) = &part.downward_api {
        describe(input, &downward.items, mode, files)?;
    }
    if part.service_account_token.is_some() {
        return Err("failed to fetch token: this cluster does not issue service account tokens; \
                    remove serviceAccountToken from the volume"
            .to_owned());
    }
    if part.cluster_trust_bundle.is_some() {
        return Err("ClusterTrustBundle projections are not supported by this kubelet".to_owned());
    }
    if part.pod_certificate.is_some() {
        return Err("PodCertificate projections are not supported by this kubelet".to_owned());
    }
    Ok(())
}

/// Which values of an object become files, and how.
struct Picked<'a> {
    items: &'a [KeyToPath],
    mode: Option<i32>,
    optional: bool,
}

impl Picked<'_> {
    fn from(&self, input: Input<'_>, kind: SourceKind, name: &str, files: &mut Files) -> Result<(), String> {
        let namespace = input.pod.metadata.namespace.clone();
        let nothing = Content::default();
        let known = input.objects.get(&Reference { kind, namespace, name: name.to_owned() });
        let content = match &known {
            Known::Is(content) => content.as_ref(),
            Known::Missing if self.optional => &nothing,
            Known::Missing => return Err(format!("{kind} {name:?} not found")),
            Known::NotYet => return Err(format!("failed to sync {kind} cache: timed out waiting for the condition")),
        };
        let mode = bits(None, self.mode);
        if self.items.is_empty() {
            let all = content.entries.iter().map(|(key, data)| (key.clone(), File { data: data.clone(), mode }));
            files.extend(all);
            return Ok(());
        }
        for item in self.items {
            match content.entries.get(&item.key) {
                Some(data) => {
                    let file = File { data: data.clone(), mode: bits(item.mode, self.mode) };
                    files.insert(item.path.clone(), file);
                }
                None if self.optional => {}
                None => {
                    return Err(match kind {
                        SourceKind::ConfigMap => format!("configmap references non-existent config key: {}", item.key),
                        SourceKind::Secret => format!("references non-existent secret key: {}", item.key),
                    });
                }
            }
        }
        Ok(())
    }
}

fn describe(
    input: Input<'_>,
    items: &[DownwardApiVolumeFile],
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), String> {
    for item in items {
        let value = if let Some(selector) = &item.field_ref {
            downward::field(input.pod, input.around, selector)?
        } else if let Some(selector) = &item.resource_field_ref {
            downward::resource(input.pod, None, input.around, selector)?
        } else {
            continue;
        };
        files.insert(item.path.clone(), File { data: value.into_bytes(), mode: bits(item.mode, mode) });
    }
    Ok(())
}

fn bits(own: Option<i32>, of_volume: Option<i32>) -> u32 {
    u32::try_from(own.or(of_volume).unwrap_or(DEFAULT_MODE)).unwrap_or_default() & 0o777
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Config map `c` (a=1, and b as bytes) and secret `s` (k) exist; `late` is not known yet; nothing else exists.
    struct Some;

    impl Lookup for Some {
        fn get(&self, reference: &Reference) -> Known {
            let entries: &[(&str, &[u8])] = match (reference.kind, reference.name.as_str()) {
                (SourceKind::ConfigMap, "c") => &[("a", b"1"), ("b", &[0, 255])],
                (SourceKind::Secret, "s") => &[("k", b"secret")],
                (_, "late") => return Known::NotYet,
                _ => return Known::Missing,
            };
            let entries = entries.iter().map(|(key, data)| ((*key).to_owned(), data.to_vec())).collect();
            Known::Is(Arc::new(Content { entries, immutable: false }))
        }
    }

    fn of(volume: serde_json::Value) -> Result<Vec<String>, String> {
        let mut pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web", "namespace": "default", "labels": {"app": "x"}},
            "spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "2"}}}]},
        }))
        .unwrap();
        pod.metadata.uid = "u".to_owned();
        let allocatable = BTreeMap::new();
        let around = Surroundings { pod_ip: "", host_ip: "", allocatable: &allocatable };
        let found = files(Input { pod: &pod, around, objects: &Some }, &serde_json::from_value(volume).unwrap())?;
        let shown =
            |(path, file): (String, File)| format!("{path} {:o} {:?}", file.mode, file.data.escape_ascii().to_string());
        Ok(found.expect("it is made of objects").into_iter().map(shown).collect())
    }

    #[test]
    fn a_volume_holds_what_its_spec_picks_with_the_modes_it_says() {
        let json = |text: &str| serde_json::from_str(text).unwrap();
        for (volume, expected) in [
            (r#"{"configMap": {"name": "c"}}"#, &["a 644 \"1\"", "b 644 \"\\\\x00\\\\xff\""][..]),
            (
                r#"{"configMap": {"name": "c", "defaultMode": 256, "items": [{"key": "a", "path": "x/y"}, {"key": "a", "path": "z", "mode": 511}]}}"#,
                &["x/y 400 \"1\"", "z 777 \"1\""],
            ),
            (r#"{"secret": {"secretName": "s", "defaultMode": 384}}"#, &["k 600 \"secret\""]),
            (r#"{"configMap": {"name": "none", "optional": true}}"#, &[]),
            (r#"{"configMap": {"name": "c", "optional": true, "items": [{"key": "none", "path": "p"}]}}"#, &[]),
            (
                r#"{"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}}]}}"#,
                &["cpu 644 \"2000\"", "labels 644 \"app=\\\\\\\"x\\\\\\\"\""],
            ),
            (
                r#"{"projected": {"defaultMode": 288, "sources": [{"configMap": {"name": "c", "items": [{"key": "a", "path": "in/a"}]}},
                    {"secret": {"name": "s"}}, {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}}"#,
                &["in/a 440 \"1\"", "k 440 \"secret\"", "name 440 \"web\""],
            ),
        ] {
            assert_eq!(of(json(volume)).unwrap(), expected, "{volume}");
        }
    }

    /// S3: what the event FailedMount says.
    #[test]
    fn what_is_missing_is_named_as_kubernetes_names_it() {
        let json = |text: &str| serde_json::from_str(text).unwrap();
        for (volume, expected) in [
            (r#"{"configMap": {"name": "none"}}"#, "configmap \"none\" not found"),
            (r#"{"secret": {"secretName": "none"}}"#, "secret \"none\" not found"),
            (
                r#"{"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}"#,
                "configmap references non-existent config key: k",
            ),
            (
                r#"{"secret": {"secretName": "s", "items": [{"key": "tls.crt", "path": "p"}]}}"#,
                "references non-existent secret key: tls.crt",
            ),
            (
                r#"{"configMap": {"name": "late"}}"#,
                "failed to sync configmap cache: timed out waiting for the condition",
            ),
            (
                r#"{"projected": {"sources": [{"secret": {"name": "x"}}, {"configMap": {"name": "y"}}]}}"#,
                "[secret \"x\" not found, configmap \"y\" not found]",
            ),
            (
                r#"{"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}"#,
                "failed to fetch token: this cluster does not issue service account tokens; remove serviceAccountToken from the volume",
            ),
        ] {
            assert_eq!(of(json(volume)).unwrap_err(), expected, "{volume}");
        }
    }

    #[test]
    fn every_object_of_a_volume_is_a_reference() {
        let volume =
            serde_json::json!({"projected": {"sources": [{"configMap": {"name": "a"}}, {"secret": {"name": "b"}}]}});
        let found: Vec<_> =
            references("ns", &serde_json::from_value(volume).unwrap()).map(|r| (r.kind, r.name)).collect();
        assert_eq!(found, [(SourceKind::ConfigMap, "a".to_owned()), (SourceKind::Secret, "b".to_owned())]);
    }
}
