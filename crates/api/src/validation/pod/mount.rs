//! Volumes inside containers: mounts and block devices must name existing volumes and not cross each other.

use std::collections::BTreeSet;

use crate::core::v1::{Container, VolumeMount};
use crate::field::{ErrorList, FieldError, Path};
use crate::validation::required;

use super::volume::{Volumes, no_backsteps, stays_inside};

pub(super) fn mounts(container: &Container, volumes: &Volumes<'_>, path: &Path, errors: &mut ErrorList) {
    let mut mount_points = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        let at = path.index(index);
        let (name, mount_path) = (at.child("name"), at.child("mountPath"));
        required(&mount.name, &name, errors);
        let volume = volumes.get(mount.name.as_str());
        if volume.is_none() {
            errors.push(FieldError::not_found(&name, &mount.name));
        }
        required(&mount.mount_path, &mount_path, errors);
        if !mount_points.insert(&mount.mount_path) {
            errors.push(FieldError::invalid(&mount_path, &mount.mount_path, "must be unique"));
        }
        if container.volume_devices.iter().any(|device| device.name == mount.name) {
            let detail = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(&name, &mount.name, detail));
        }
        if container.volume_devices.iter().any(|device| device.device_path == mount.mount_path) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(&mount_path, &mount.mount_path, detail));
        }
        if !mount.sub_path.is_empty() {
            stays_inside(&mount.sub_path, &path.child("subPath"), errors);
        }
        if !mount.sub_path_expr.is_empty() {
            if !mount.sub_path.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                errors.push(FieldError::invalid(&at.child("subPathExpr"), &mount.sub_path_expr, detail));
            }
            stays_inside(&mount.sub_path_expr, &path.child("subPathExpr"), errors);
        }
        propagation(mount, container, &path.child("mountPropagation"), errors);
        recursive_read_only(mount, &path.child("recursiveReadOnly"), errors);
    }
}

fn propagation(mount: &VolumeMount, container: &Container, path: &Path, errors: &mut ErrorList) {
    let Some(mode) = &mount.mount_propagation else { return };
    let modes = ["Bidirectional", "HostToContainer", "None"];
    if !modes.contains(&mode.as_str()) {
        errors.push(FieldError::not_supported(path, mode, &modes));
    }
    let privileged = container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true));
    if mode == "Bidirectional" && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn recursive_read_only(mount: &VolumeMount, path: &Path, errors: &mut ErrorList) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !mount.read_only {
                errors.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mount.mount_propagation.as_deref().is_some_and(|mode| mode != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(path, detail));
            }
        }
        Some(other) => {
            errors.push(FieldError::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]));
        }
    }
}

pub(super) fn devices(container: &Container, volumes: &Volumes<'_>, path: &Path, errors: &mut ErrorList) {
    let (mut device_names, mut device_paths) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in container.volume_devices.iter().enumerate() {
        let at = path.index(index);
        let (name, device_path) = (at.child("name"), at.child("devicePath"));
        required(&device.name, &name, errors);
        if !device.name.is_empty() && !device_names.insert(&device.name) {
            errors.push(FieldError::invalid(&name, &device.name, "must be unique"));
        }
        match volumes.get(device.name.as_str()) {
            None => errors.push(FieldError::not_found(&name, &device.name)),
            Some(source) if source.persistent_volume_claim.is_none() && source.ephemeral.is_none() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(&name, &device.name, detail));
            }
            Some(_) => {}
        }
        required(&device.device_path, &device_path, errors);
        if !no_backsteps(&device.device_path) {
            let detail = "can not contain backsteps ('..')";
            errors.push(FieldError::invalid(&device_path, &device.device_path, detail));
        } else if !device_paths.insert(&device.device_path) {
            errors.push(FieldError::invalid(&device_path, &device.device_path, "must be unique"));
        }
        if container.volume_mounts.iter().any(|mount| mount.name == device.name) {
            let detail = "must not already exist in volumeMounts";
            errors.push(FieldError::invalid(&name, &device.name, detail));
        }
        if container.volume_mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.push(FieldError::invalid(&device_path, &device.device_path, detail));
        }
    }
}
