//! Volumes on other storage systems, and what each cannot do without. Few of them are in use any more.

use crate::core::v1::{IscsiVolumeSource, NfsVolumeSource, VolumeSource};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::validation::required;

pub(super) fn nfs(source: &NfsVolumeSource, path: &Path, errors: &mut ErrorList) {
    required(&source.server, &path.child("server"), errors);
    required(&source.path, &path.child("path"), errors);
    if !source.path.starts_with('/') {
        errors.push(FieldError::invalid(&path.child("path"), &source.path, "must be an absolute path"));
    }
}

pub(super) fn iscsi(source: &IscsiVolumeSource, path: &Path, errors: &mut ErrorList) {
    required(&source.target_portal, &path.child("targetPortal"), errors);
    required(&source.iqn, &path.child("iqn"), errors);
    if !source.iqn.is_empty() && !["iqn", "eui", "naa"].iter().any(|prefix| source.iqn.starts_with(prefix)) {
        let detail = "must be valid format starting with iqn, eui, or naa";
        errors.push(FieldError::invalid(&path.child("iqn"), &source.iqn, detail));
    }
    errors.push_invalid(&path.child("lun"), source.lun, names::in_range(source.lun.into(), 0, 255));
    if (source.chap_auth_discovery || source.chap_auth_session) && source.secret_ref.is_none() {
        errors.push(FieldError::required(&path.child("secretRef"), ""));
    }
}

/// What other storage systems cannot do without.
pub(super) fn storage_system(source: &VolumeSource, path: &Path, errors: &mut ErrorList) {
    let mut needs = |field: &str, value: &str| required(value, &path.child(field), errors);
    if let Some(claim) = &source.persistent_volume_claim {
        needs("claimName", &claim.claim_name);
    }
    if let Some(disk) = &source.gce_persistent_disk {
        needs("pdName", &disk.pd_name);
    }
    if let Some(store) = &source.aws_elastic_block_store {
        needs("volumeID", &store.volume_id);
    }
    if let Some(gluster) = &source.glusterfs {
        needs("endpoints", &gluster.endpoints);
        needs("path", &gluster.path);
    }
    if let Some(rbd) = &source.rbd {
        needs("monitors", &rbd.monitors.concat());
        needs("image", &rbd.image);
    }
    if let Some(cinder) = &source.cinder {
        needs("volumeID", &cinder.volume_id);
    }
    if let Some(cephfs) = &source.cephfs {
        needs("monitors", &cephfs.monitors.concat());
    }
    if let Some(flex) = &source.flex_volume {
        needs("driver", &flex.driver);
    }
    if let Some(azure) = &source.azure_file {
        needs("secretName", &azure.secret_name);
        needs("shareName", &azure.share_name);
    }
    if let Some(disk) = &source.azure_disk {
        needs("diskName", &disk.disk_name);
        needs("diskURI", &disk.disk_uri);
    }
    if let Some(vsphere) = &source.vsphere_volume {
        needs("volumePath", &vsphere.volume_path);
    }
    if let Some(photon) = &source.photon_persistent_disk {
        needs("pdID", &photon.pd_id);
    }
    if let Some(portworx) = &source.portworx_volume {
        needs("volumeID", &portworx.volume_id);
    }
    if let Some(scale_io) = &source.scale_io {
        needs("gateway", &scale_io.gateway);
        needs("system", &scale_io.system);
        needs("volumeName", &scale_io.volume_name);
    }
    if let Some(storage) = &source.storageos {
        needs("volumeName", &storage.volume_name);
    }
    if let Some(quobyte) = &source.quobyte {
        needs("registry", &quobyte.registry);
        needs("volume", &quobyte.volume);
    }
}
