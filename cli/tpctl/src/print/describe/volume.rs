//! Volumes of a pod or of a pod template.

use super::writer::Writer;
use crate::print::age::UNKNOWN;
use crate::print::columns::NONE;
use api::core::v1::{ProjectedVolumeSource, Volume};

/// Adds the volumes, `indent` being empty or, in a template, one step.
pub(super) fn volumes(writer: &mut Writer, indent: &str, volumes: &[Volume]) {
    if volumes.is_empty() {
        writer.line(0, format!("{indent}Volumes:\t{NONE}"));
        return;
    }
    let name_indent = if indent.is_empty() { "" } else { " " };
    writer.line(0, format!("{indent}Volumes:"));
    for volume in volumes {
        writer.line(1, format!("{name_indent}{}:", volume.name));
        facts(volume).into_iter().for_each(|(name, value)| writer.line(2, format!("{name}:\t{value}")));
    }
}

fn facts(volume: &Volume) -> Vec<(String, String)> {
    let source = &volume.volume_source;
    let fact = |name: &str, value: &dyn std::fmt::Display| (name.to_owned(), value.to_string());
    if let Some(map) = &source.config_map {
        return vec![
            fact("Type", &"ConfigMap (a volume populated by a ConfigMap)"),
            fact("Name", &map.local_object_reference.name),
            fact("Optional", &map.optional.unwrap_or_default()),
        ];
    }
    if let Some(secret) = &source.secret {
        return vec![
            fact("Type", &"Secret (a volume populated by a Secret)"),
            fact("SecretName", &secret.secret_name),
            fact("Optional", &secret.optional.unwrap_or_default()),
        ];
    }
    if let Some(empty) = &source.empty_dir {
        let limit = empty.size_limit.as_ref().map_or("<unset>", |limit| limit.string.as_str());
        return vec![
            fact("Type", &"EmptyDir (a temporary directory that shares a pod's lifetime)"),
            fact("Medium", &empty.medium),
            fact("SizeLimit", &limit),
        ];
    }
    if let Some(host) = &source.host_path {
        return vec![
            fact("Type", &"HostPath (bare host directory volume)"),
            fact("Path", &host.path),
            fact("HostPathType", &host.r#type.as_deref().unwrap_or_default()),
        ];
    }
    if let Some(claim) = &source.persistent_volume_claim {
        return vec![
            fact("Type", &"PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)"),
            fact("ClaimName", &claim.claim_name),
            fact("ReadOnly", &claim.read_only),
        ];
    }
    match &source.projected {
        Some(projected) => {
            let title = "Projected (a volume that contains injected data from multiple sources)";
            std::iter::once(fact("Type", &title)).chain(projections(projected)).collect()
        }
        None => vec![fact("Type", &other(volume))],
    }
}

fn projections(projected: &ProjectedVolumeSource) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for source in &projected.sources {
        let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
        if let Some(secret) = &source.secret {
            fact("SecretName", secret.local_object_reference.name.clone());
            fact("Optional", secret.optional.unwrap_or_default().to_string());
        }
        if source.downward_api.is_some() {
            fact("DownwardAPI", "true".to_owned());
        }
        if let Some(map) = &source.config_map {
            fact("ConfigMapName", map.local_object_reference.name.clone());
            fact("Optional", map.optional.unwrap_or_default().to_string());
        }
        if let Some(token) = &source.service_account_token {
            fact("TokenExpirationSeconds", token.expiration_seconds.unwrap_or_default().to_string());
        }
    }
    facts
}

/// The name of a source that has no section here: as the manifest has it.
fn other(volume: &Volume) -> String {
    let document = serde_json::to_value(volume).unwrap_or_default();
    let source = document.as_object().and_then(|members| members.keys().find(|key| *key != "name").cloned());
    source.unwrap_or_else(|| UNKNOWN.to_owned())
}
