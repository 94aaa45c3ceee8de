//! Volumes that are made of files: secrets, config maps, the downward API, and all of these in one.

use std::collections::BTreeSet;

use crate::core::v1::{DownwardApiVolumeFile, DownwardApiVolumeSource, KeyToPath, ProjectedVolumeSource};
use crate::field::{ErrorList, FieldError, Path};
use crate::validation::pod::env;
use crate::validation::required;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Checks the files that a secret or a config map becomes.
pub(super) fn files(default_mode: Option<i32>, items: &[KeyToPath], path: &Path, errors: &mut ErrorList) {
    mode(default_mode, &path.child("defaultMode"), errors);
    for (index, item) in items.iter().enumerate() {
        key_to_path(item, &path.child("items").index(index), errors);
    }
}

fn key_to_path(item: &KeyToPath, path: &Path, errors: &mut ErrorList) {
    required(&item.key, &path.child("key"), errors);
    required(&item.path, &path.child("path"), errors);
    stays_visible(&item.path, &path.child("path"), errors);
    mode(item.mode, &path.child("mode"), errors);
}

fn mode(mode: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(FieldError::invalid(path, mode, MODE));
    }
}

pub(super) fn downward_api(source: &DownwardApiVolumeSource, path: &Path, errors: &mut ErrorList) {
    mode(source.default_mode, &path.child("defaultMode"), errors);
    for file in &source.items {
        downward_file(file, path, errors);
    }
}

fn downward_file(file: &DownwardApiVolumeFile, path: &Path, errors: &mut ErrorList) {
    required(&file.path, &path.child("path"), errors);
    stays_visible(&file.path, &path.child("path"), errors);
    if let Some(field) = &file.field_ref {
        env::field_ref(field, env::FILE_FIELDS, &path.child("fieldRef"), errors);
        if file.resource_field_ref.is_some() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(FieldError::invalid(path, "resource", detail));
        }
    } else if let Some(resource) = &file.resource_field_ref {
        let path = path.child("resourceFieldRef");
        if resource.container_name.is_empty() {
            errors.push(FieldError::required(&path.child("containerName"), ""));
        }
        env::resource_field_ref(resource, &path, errors);
    } else {
        errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
    }
    mode(file.mode, &path.child("mode"), errors);
}

pub(super) fn projected(source: &ProjectedVolumeSource, path: &Path, errors: &mut ErrorList) {
    mode(source.default_mode, &path.child("defaultMode"), errors);
    let mut taken = BTreeSet::new();
    for (index, projection) in source.sources.iter().enumerate() {
        let at = path.child("sources").index(index);
        let mut claim = |file: &str, shown: &str, errors: &mut ErrorList| {
            if !file.is_empty() && !taken.insert(file.to_owned()) {
                errors.push(FieldError::invalid(path, shown, "conflicting duplicate paths"));
            }
        };
        let mut kinds = 0;
        let secret = projection.secret.as_ref().map(|s| ("secret", &s.local_object_reference.name, &s.items));
        let config_map =
            projection.config_map.as_ref().map(|c| ("configMap", &c.local_object_reference.name, &c.items));
        for (field, name, items) in [secret, config_map].into_iter().flatten() {
            kinds += 1;
            let at = at.child(field);
            required(name, &at.child("name"), errors);
            for (index, item) in items.iter().enumerate() {
                key_to_path(item, &at.child("items").index(index), errors);
                claim(&item.path, name, errors);
            }
        }
        if let Some(downward) = &projection.downward_api {
            kinds += 1;
            for file in &downward.items {
                downward_file(file, &at.child("downwardAPI"), errors);
                claim(&file.path, &file.path, errors);
            }
        }
        if let Some(token) = &projection.service_account_token {
            kinds += 1;
            let at = at.child("serviceAccountToken").child("expirationSeconds");
            let seconds = token.expiration_seconds.unwrap_or_default();
            if seconds < 600 {
                let detail = "may not specify a duration less than 10 minutes";
                errors.push(FieldError::invalid(&at, seconds, detail));
            }
            if seconds > 1 << 32 {
                let detail = "may not specify a duration larger than 2^32 seconds";
                errors.push(FieldError::invalid(&at, seconds, detail));
            }
            required(&token.path, &path.child("path"), errors);
            stays_visible(&token.path, &path.child("path"), errors);
        }
        if let Some(bundle) = &projection.cluster_trust_bundle {
            kinds += 1;
            let at = at.child("clusterTrustBundle");
            if bundle.name.is_none() && bundle.signer_name.is_none() {
                errors.push(FieldError::required(&at, "either name or signerName must be specified"));
            }
            required(&bundle.path, &at.child("path"), errors);
            stays_visible(&bundle.path, &at.child("path"), errors);
            claim(&bundle.path, &bundle.path, errors);
        }
        kinds += usize::from(projection.pod_certificate.is_some());
        if kinds > 1 {
            errors.push(FieldError::forbidden(&at, "may not specify more than 1 volume type per source"));
        }
    }
}

/// True if no part of a path is `..`.
pub(in crate::validation::pod) fn no_backsteps(path: &str) -> bool {
    path.split('/').all(|part| part != "..")
}

/// A path inside a volume must not lead out of it.
pub(in crate::validation::pod) fn stays_inside(value: &str, path: &Path, errors: &mut ErrorList) {
    if value.starts_with('/') {
        errors.push(FieldError::invalid(path, value, "must be a relative path"));
    }
    if !no_backsteps(value) {
        errors.push(FieldError::invalid(path, value, "must not contain '..'"));
    }
}

/// Nor may it start with the dots that the kubelet uses for its own files there.
fn stays_visible(value: &str, path: &Path, errors: &mut ErrorList) {
    stays_inside(value, path, errors);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.push(FieldError::invalid(path, value, "must not start with '..'"));
    }
}
