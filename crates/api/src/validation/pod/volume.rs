//! Volumes: each has a name and exactly one source, and files in it stay in it.

mod files;
mod storage;

use std::collections::BTreeMap;

use crate::core::v1::{HostPathVolumeSource, Volume, VolumeSource};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::validation::{required, required_name, supported_or_empty};

use super::place::In;
use super::resources::quantity;

pub(super) use files::{no_backsteps, stays_inside};

/// The volumes of a pod that are in order, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a VolumeSource>;

/// Checks the volumes and returns those that are in order, which containers may refer to.
pub(super) fn volumes<'a>(volumes: &'a [Volume], path: &Path, place: In<'_>, errors: &mut ErrorList) -> Volumes<'a> {
    let mut good = Volumes::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let before = errors.len();
        source(volume, &path, place, errors);
        required_name(&volume.name, names::dns1123_label, &path.child("name"), errors);
        if good.contains_key(volume.name.as_str()) {
            errors.push(FieldError::duplicate(&path.child("name"), &volume.name));
        }
        if errors.len() == before {
            good.insert(&volume.name, &volume.volume_source);
        }
        if let (In::Pod(pod), Some(claim)) = (place, &volume.volume_source.persistent_volume_claim)
            && volumes
                .iter()
                .any(|v| v.volume_source.ephemeral.is_some() && claim.claim_name == format!("{pod}-{}", v.name))
        {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            let path = path.child("persistentVolumeClaim.claimName");
            errors.push(FieldError::invalid(&path, &claim.claim_name, detail));
        }
    }
    good
}

fn source(volume: &Volume, path: &Path, place: In<'_>, errors: &mut ErrorList) {
    let source = &volume.volume_source;
    let set = sources(source);
    let mut set = set.into_iter().filter(|(_, set)| *set).map(|(field, _)| field);
    let Some(first) = set.next() else {
        return errors.push(FieldError::required(path, "must specify a volume type"));
    };
    // Of several sources only the first is looked into.
    let at = path.child(first);
    match first {
        "emptyDir" => empty_dir(source, &at, errors),
        "hostPath" => source.host_path.iter().for_each(|s| host_path(s, &at, errors)),
        "secret" => source.secret.iter().for_each(|s| {
            required(&s.secret_name, &at.child("secretName"), errors);
            files::files(s.default_mode, &s.items, &at, errors);
        }),
        "configMap" => source.config_map.iter().for_each(|s| {
            required(&s.local_object_reference.name, &at.child("name"), errors);
            files::files(s.default_mode, &s.items, &at, errors);
        }),
        "downwardAPI" => source.downward_api.iter().for_each(|s| files::downward_api(s, &at, errors)),
        "projected" => source.projected.iter().for_each(|s| files::projected(s, &at, errors)),
        "nfs" => source.nfs.iter().for_each(|s| storage::nfs(s, &at, errors)),
        "iscsi" => source.iscsi.iter().for_each(|s| storage::iscsi(s, &at, errors)),
        "gitRepo" => source.git_repo.iter().for_each(|s| {
            required(&s.repository, &at.child("repository"), errors);
            stays_inside(&s.directory, &at.child("directory"), errors);
        }),
        "csi" => source.csi.iter().for_each(|s| {
            required(&s.driver, &at.child("driver"), errors);
            if s.driver.len() > names::MAX_LABEL {
                errors.push(FieldError::too_long(&at.child("driver"), names::MAX_LABEL));
            }
            errors.push_invalid(&at.child("driver"), &s.driver, names::dns1123_subdomain(&s.driver.to_lowercase()));
        }),
        "ephemeral" => ephemeral(volume, path, place, errors),
        "image" => source.image.iter().for_each(|s| {
            required(&s.reference, &at.child("reference"), errors);
            supported_or_empty(&s.pull_policy, &["Always", "IfNotPresent", "Never"], &at.child("pullPolicy"), errors);
        }),
        _ => storage::storage_system(source, &at, errors),
    }
    for field in set {
        errors.push(FieldError::forbidden(&path.child(field), "may not specify more than 1 volume type"));
    }
}

/// Every source with whether it is set, in the order in which Kubernetes looks.
fn sources(source: &VolumeSource) -> [(&'static str, bool); 30] {
    [
        ("emptyDir", source.empty_dir.is_some()),
        ("hostPath", source.host_path.is_some()),
        ("gitRepo", source.git_repo.is_some()),
        ("gcePersistentDisk", source.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", source.aws_elastic_block_store.is_some()),
        ("secret", source.secret.is_some()),
        ("nfs", source.nfs.is_some()),
        ("iscsi", source.iscsi.is_some()),
        ("glusterfs", source.glusterfs.is_some()),
        ("flocker", source.flocker.is_some()),
        ("persistentVolumeClaim", source.persistent_volume_claim.is_some()),
        ("rbd", source.rbd.is_some()),
        ("cinder", source.cinder.is_some()),
        ("cephfs", source.cephfs.is_some()),
        ("quobyte", source.quobyte.is_some()),
        ("downwardAPI", source.downward_api.is_some()),
        ("fc", source.fc.is_some()),
        ("flexVolume", source.flex_volume.is_some()),
        ("configMap", source.config_map.is_some()),
        ("azureFile", source.azure_file.is_some()),
        ("vsphereVolume", source.vsphere_volume.is_some()),
        ("photonPersistentDisk", source.photon_persistent_disk.is_some()),
        ("portworxVolume", source.portworx_volume.is_some()),
        ("azureDisk", source.azure_disk.is_some()),
        ("storageos", source.storageos.is_some()),
        ("projected", source.projected.is_some()),
        ("scaleIO", source.scale_io.is_some()),
        ("csi", source.csi.is_some()),
        ("ephemeral", source.ephemeral.is_some()),
        ("image", source.image.is_some()),
    ]
}

fn empty_dir(source: &VolumeSource, path: &Path, errors: &mut ErrorList) {
    let Some(limit) = source.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref()) else { return };
    let path = path.child("sizeLimit");
    match limit.amount() {
        Ok(amount) if amount.is_negative() => {
            errors.push(FieldError::forbidden(&path, "SizeLimit field must be a valid resource quantity"));
        }
        Ok(_) => {}
        Err(_) => quantity("storage", limit, &path, errors),
    }
}

fn host_path(source: &HostPathVolumeSource, path: &Path, errors: &mut ErrorList) {
    if source.path.is_empty() {
        return errors.push(FieldError::required(&path.child("path"), ""));
    }
    if !no_backsteps(&source.path) {
        errors.push(FieldError::invalid(&path.child("path"), &source.path, "must not contain '..'"));
    }
    let types = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    supported_or_empty(source.r#type.as_deref().unwrap_or_default(), &types, &path.child("type"), errors);
}

fn ephemeral(volume: &Volume, path: &Path, place: In<'_>, errors: &mut ErrorList) {
    let template = volume.volume_source.ephemeral.as_ref().and_then(|source| source.volume_claim_template.as_ref());
    let at = path.child("ephemeral.volumeClaimTemplate");
    match template {
        None => errors.push(FieldError::required(&at, "")),
        Some(template) => {
            crate::validation::metadata::template(&template.metadata, &at.child("metadata"), errors);
            let spec = at.child("spec");
            if template.spec.access_modes.is_empty() {
                errors.push(FieldError::required(&spec.child("accessModes"), "at least 1 access mode is required"));
            }
            match template.spec.resources.requests.get("storage") {
                None => errors.push(FieldError::required(&spec.child("resources").key("storage"), "")),
                Some(size) => quantity("storage", size, &spec.child("resources").key("storage"), errors),
            }
        }
    }
    if let In::Pod(pod) = place
        && !pod.is_empty()
        && !volume.name.is_empty()
    {
        let claim = format!("{pod}-{}", volume.name);
        let faults = names::dns1123_subdomain(&claim).into_iter();
        let faults = faults.map(|fault| format!("PVC name \"{claim}\": {fault}")).collect();
        errors.push_invalid(&path.child("name"), &volume.name, faults);
    }
}
