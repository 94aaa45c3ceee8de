//! Environment variables, and what they may be taken from.

use crate::core::v1::{EnvFromSource, EnvVar, ObjectFieldSelector, ResourceFieldSelector};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::quantity::canonical;
use crate::validation::{named, required, required_name};

/// The fields of a pod that a variable can show.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields of a pod that a file can show.
pub(super) const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// The resources of a container that either can show.
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn variables(variables: &[EnvVar], path: &Path, errors: &mut ErrorList) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        required_name(&variable.name, names::env_var_name, &path.child("name"), errors);
        value_from(variable, &path.child("valueFrom"), errors);
    }
}

fn value_from(variable: &EnvVar, path: &Path, errors: &mut ErrorList) {
    let Some(source) = &variable.value_from else { return };
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        field_ref(field, ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        resource_field_ref(resource, &path.child("resourceFieldRef"), errors);
    }
    if let Some(config_map) = &source.config_map_key_ref {
        sources += 1;
        let name = &config_map.local_object_reference.name;
        key_ref(name, &config_map.key, &path.child("configMapKeyRef"), errors);
    }
    if let Some(secret) = &source.secret_key_ref {
        sources += 1;
        key_ref(&secret.local_object_reference.name, &secret.key, &path.child("secretKeyRef"), errors);
    }
    if let Some(file) = &source.file_key_ref {
        sources += 1;
        let path = path.child("fileKeyRef");
        required(&file.key, &path.child("key"), errors);
        required(&file.volume_name, &path.child("volumeName"), errors);
        required(&file.path, &path.child("path"), errors);
    }
    let detail = match (sources, variable.value.is_empty()) {
        (0, _) => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        (_, false) => "may not be specified when `value` is not empty",
        (1, true) => return,
        (_, true) => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(path, "", detail));
}

fn key_ref(name: &str, key: &str, path: &Path, errors: &mut ErrorList) {
    named(name, names::dns1123_subdomain, &path.child("name"), errors);
    required_name(key, names::config_map_key, &path.child("key"), errors);
}

/// Checks a reference to a field of the pod, of those given or `metadata.labels['key']`.
pub(super) fn field_ref(field: &ObjectFieldSelector, known: &[&str], path: &Path, errors: &mut ErrorList) {
    if field.api_version.is_empty() {
        return errors.push(FieldError::required(&path.child("apiVersion"), ""));
    }
    let field_path = path.child("fieldPath");
    let text = field.field_path.as_str();
    if text.is_empty() {
        return errors.push(FieldError::required(&field_path, ""));
    }
    let subscripted = text.strip_suffix("']").and_then(|text| text.split_once("['"));
    match subscripted {
        Some(("metadata.annotations", key)) => named(&key.to_lowercase(), names::qualified_name, path, errors),
        Some(("metadata.labels", key)) => named(key, names::qualified_name, path, errors),
        Some((other, _)) => errors.push(FieldError::invalid(path, other, "does not support subscript")),
        None if known.contains(&text) => {}
        None if [ENV_FIELDS, FILE_FIELDS].concat().contains(&text) => {
            errors.push(FieldError::not_supported(&field_path, text, known));
        }
        None => {
            let detail = format!("error converting fieldPath: field label not supported: {text}");
            errors.push(FieldError::invalid(&field_path, text, detail));
        }
    }
}

/// Checks a reference to a resource of a container.
pub(super) fn resource_field_ref(field: &ResourceFieldSelector, path: &Path, errors: &mut ErrorList) {
    let resource = field.resource.as_str();
    let hugepages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if resource.is_empty() {
        errors.push(FieldError::required(&path.child("resource"), ""));
    } else if !RESOURCES.contains(&resource) && !hugepages {
        errors.push(FieldError::not_supported(&path.child("resource"), resource, RESOURCES));
    }
    divisor(field, hugepages, &path.child("divisor"), errors);
}

fn divisor(field: &ResourceFieldSelector, hugepages: bool, path: &Path, errors: &mut ErrorList) {
    const CPU: &[&str] = &["1m", "1"];
    const BYTES: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let divisor = match canonical(&field.divisor.string) {
        _ if field.divisor.string.is_empty() => return,
        Ok(divisor) if divisor == "0" => return,
        Ok(divisor) => divisor,
        Err(error) => return errors.push(FieldError::invalid(path, &field.divisor.string, error.to_string())),
    };
    let (kind, allowed) = match field.resource.split_once('.') {
        Some((_, "cpu")) => ("cpu", CPU),
        Some((_, "memory")) => ("memory", BYTES),
        Some((_, "ephemeral-storage")) => ("local ephemeral storage", BYTES),
        _ if hugepages => ("hugepages", BYTES),
        _ => return,
    };
    if !allowed.contains(&divisor.as_ref()) {
        let list = if kind == "cpu" { allowed.join(" and ") } else { allowed.join(", ") };
        let detail = format!("only divisor's values {list} are supported with the {kind} resource");
        errors.push(FieldError::invalid(path, &field.resource, detail));
    }
}

pub(super) fn sources(sources: &[EnvFromSource], path: &Path, errors: &mut ErrorList) {
    for (index, source) in sources.iter().enumerate() {
        let at = path.index(index);
        if !source.prefix.is_empty() {
            named(&source.prefix, names::env_var_name, &at.child("prefix"), errors);
        }
        let config_map = source.config_map_ref.as_ref().map(|r| ("configMapRef", &r.local_object_reference.name));
        let secret = source.secret_ref.as_ref().map(|r| ("secretRef", &r.local_object_reference.name));
        for (field, name) in [config_map, secret].into_iter().flatten() {
            required_name(name, names::dns1123_subdomain, &at.child(field).child("name"), errors);
        }
        match (config_map, secret) {
            (None, None) => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.push(FieldError::invalid(path, "", detail));
            }
            (Some(_), Some(_)) => {
                let detail = "may not have more than one field specified at a time";
                errors.push(FieldError::invalid(path, "", detail));
            }
            _ => {}
        }
    }
}
