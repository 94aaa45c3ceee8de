//! Volumes: what an unnamed source is, and the modes of the files in it.

use super::container::{field_ref, pull_policy};
use super::{resource_list, text};
use crate::core::v1::{EmptyDirVolumeSource, Volume, VolumeProjection, VolumeSource};

/// Files made from config maps, secrets and the downward API are `rw-r--r--`.
const FILE_MODE: i32 = 0o644;
/// Service account tokens are renewed hourly.
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn volume(volume: &mut Volume) {
    let source = &mut volume.volume_source;
    if *source == VolumeSource::default() {
        source.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(path) = &mut source.host_path {
        path.r#type.get_or_insert_default();
    }
    if let Some(secret) = &mut source.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(config_map) = &mut source.config_map {
        config_map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(downward) = &mut source.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        downward.items.iter_mut().filter_map(|item| item.field_ref.as_mut()).for_each(field_ref);
    }
    if let Some(projected) = &mut source.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        projected.sources.iter_mut().for_each(projection);
    }
    if let Some(image) = &mut source.image {
        let policy = pull_policy(&image.reference);
        text(&mut image.pull_policy, policy);
    }
    if let Some(template) = source.ephemeral.as_mut().and_then(|e| e.volume_claim_template.as_mut()) {
        template.spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
        resource_list(&mut template.spec.resources.limits);
        resource_list(&mut template.spec.resources.requests);
    }
    storage_systems(source);
}

fn projection(projection: &mut VolumeProjection) {
    if let Some(downward) = &mut projection.downward_api {
        downward.items.iter_mut().filter_map(|item| item.field_ref.as_mut()).for_each(field_ref);
    }
    if let Some(token) = &mut projection.service_account_token {
        token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
    }
}

fn storage_systems(source: &mut VolumeSource) {
    if let Some(iscsi) = &mut source.iscsi {
        text(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut source.rbd {
        text(&mut rbd.pool, "rbd");
        text(&mut rbd.user, "admin");
        text(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(disk) = &mut source.azure_disk {
        disk.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
        disk.fs_type.get_or_insert_with(|| "ext4".to_owned());
        disk.read_only.get_or_insert(false);
        disk.kind.get_or_insert_with(|| "Shared".to_owned());
    }
    if let Some(scale_io) = &mut source.scale_io {
        text(&mut scale_io.storage_mode, "ThinProvisioned");
        text(&mut scale_io.fs_type, "xfs");
    }
}
