//! Metadata, which all kinds share: names, labels, annotations, owners, finalizers.

use crate::field::{ErrorList, FieldError, Json, Path};
use crate::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};
use crate::names::{self, NameRule};
use crate::quoted::quoted;

use super::{immutable, non_negative};

/// The most bytes that all annotations of an object may have together: 256 KiB.
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// The finalizers of the garbage collector, which exclude each other.
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Checks the metadata of a new object, whose name has been generated already.
pub fn create(meta: &ObjectMeta, namespaced: bool, rule: NameRule, errors: &mut ErrorList) {
    let path = Path::new("metadata");
    if !meta.generate_name.is_empty() {
        errors.push_invalid(&path.child("generateName"), &meta.generate_name, rule.check_prefix(&meta.generate_name));
    }
    if meta.name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), "name or generateName is required"));
    } else {
        errors.push_invalid(&path.child("name"), &meta.name, rule.check(&meta.name));
    }
    let namespace = path.child("namespace");
    match (namespaced, meta.namespace.as_str()) {
        (true, "") => errors.push(FieldError::required(&namespace, "")),
        (true, name) => errors.push_invalid(&namespace, name, names::dns1123_label(name)),
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden(&namespace, "not allowed on this type")),
    }
    non_negative(meta.generation, &path.child("generation"), errors);
    contents(meta, &path, errors);
    finalizers(&meta.finalizers, &path.child("finalizers"), errors);
}

/// Checks the metadata of a changed object. Its name and namespace were checked when it was new.
pub fn update(new: &ObjectMeta, old: &ObjectMeta, errors: &mut ErrorList) {
    let path = Path::new("metadata");
    let finalizers_path = path.child("finalizers");
    if old.deletion_timestamp.is_some() {
        let mut added: Vec<_> = new.finalizers.iter().filter(|name| !old.finalizers.contains(name)).collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let list = added.into_iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
            );
            errors.push(FieldError::forbidden(&finalizers_path, detail));
        }
    }
    if new.resource_version.is_empty() {
        let detail = "must be specified for an update";
        errors.push(FieldError::invalid(&path.child("resourceVersion"), "", detail));
    }
    if new.generation < old.generation {
        let detail = "must not be decremented";
        errors.push(FieldError::invalid(&path.child("generation"), new.generation, detail));
    }
    immutable(&new.name, &old.name, &path.child("name"), errors);
    immutable(&new.namespace, &old.namespace, &path.child("namespace"), errors);
    immutable(&new.uid, &old.uid, &path.child("uid"), errors);
    immutable(&new.creation_timestamp, &old.creation_timestamp, &path.child("creationTimestamp"), errors);
    immutable(&new.deletion_timestamp, &old.deletion_timestamp, &path.child("deletionTimestamp"), errors);
    let grace = path.child("deletionGracePeriodSeconds");
    immutable(&new.deletion_grace_period_seconds, &old.deletion_grace_period_seconds, &grace, errors);
    contents(new, &path, errors);
    for (index, finalizer) in new.finalizers.iter().enumerate() {
        known_finalizer(finalizer, &finalizers_path.index(index), errors);
    }
}

/// Checks what a pod template has of metadata.
pub(super) fn template(meta: &ObjectMeta, path: &Path, errors: &mut ErrorList) {
    labels(&meta.labels, &path.child("labels"), errors);
    annotations(meta, &path.child("annotations"), errors);
}

fn contents(meta: &ObjectMeta, path: &Path, errors: &mut ErrorList) {
    template(meta, path, errors);
    owners(&meta.owner_references, &path.child("ownerReferences"), errors);
    managed_fields(&meta.managed_fields, &path.child("managedFields"), errors);
}

/// Checks the keys and values of labels, or of anything that must look like them.
pub(super) fn labels<'a>(
    labels: impl IntoIterator<Item = (&'a String, &'a String)>,
    path: &Path,
    errors: &mut ErrorList,
) {
    for (key, value) in labels {
        errors.push_invalid(path, key, names::qualified_name(key));
        errors.push_invalid(path, value, names::label_value(value));
    }
}

fn annotations(meta: &ObjectMeta, path: &Path, errors: &mut ErrorList) {
    for key in meta.annotations.keys() {
        // Unlike those of labels, keys may have capitals in their prefix.
        errors.push_invalid(path, key, names::qualified_name(&key.to_lowercase()));
    }
    let size: usize = meta.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS));
    }
}

fn owners(owners: &[OwnerReference], path: &Path, errors: &mut ErrorList) {
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        let fields = [
            ("apiVersion", version, &owner.api_version, "version must not be empty"),
            ("kind", owner.kind.as_str(), &owner.kind, "must not be empty"),
            ("name", owner.name.as_str(), &owner.name, "must not be empty"),
            ("uid", owner.uid.as_str(), &owner.uid, "must not be empty"),
        ];
        for (name, needed, shown, detail) in fields {
            if needed.is_empty() {
                errors.push(FieldError::invalid(&path.child(name), shown, detail));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path, Json(owner), detail));
        }
        if owner.controller != Some(true) {
            continue;
        }
        match controller {
            None => controller = Some(owner),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and {}/{}",
                    first.kind, first.name, owner.kind, owner.name
                );
                errors.push(FieldError::invalid(path, Json(owners), detail));
            }
        }
    }
}

fn finalizers(finalizers: &[String], path: &Path, errors: &mut ErrorList) {
    for finalizer in finalizers {
        errors.push_invalid(path, finalizer, names::qualified_name(finalizer));
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has(ORPHAN) && has(FOREGROUND) {
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(path, Json(finalizers), detail));
    }
    for (index, finalizer) in finalizers.iter().enumerate() {
        known_finalizer(finalizer, &path.index(index), errors);
    }
}

/// A finalizer without a prefix is Kubernetes' own, and only a few of these exist.
pub(super) fn known_finalizer(finalizer: &str, path: &Path, errors: &mut ErrorList) {
    if !finalizer.contains('/') && !["kubernetes", ORPHAN, FOREGROUND].contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, finalizer, detail));
    }
}

fn managed_fields(entries: &[ManagedFieldsEntry], path: &Path, errors: &mut ErrorList) {
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        if !["Apply", "Update"].contains(&entry.operation.as_str()) {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(&path.child("operation"), &entry.operation, detail));
        }
        if !["", "FieldsV1"].contains(&entry.fields_type.as_str()) {
            errors.push(FieldError::invalid(&path.child("fieldsType"), &entry.fields_type, "must be `FieldsV1`"));
        }
        if entry.manager.len() > 128 {
            errors.push(FieldError::too_long(&path.child("manager"), 128));
        }
        if entry.subresource.len() > 256 {
            errors.push(FieldError::too_long(&path.child("subresource"), 256));
        }
    }
}
