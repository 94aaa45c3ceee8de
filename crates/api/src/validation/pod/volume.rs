//! Volumes: each has a name and exactly one source, and files in it stay in it.

use std::collections::BTreeSet;

use crate::core::v1::{
    DownwardApiVolumeFile, DownwardApiVolumeSource, HostPathVolumeSource, IscsiVolumeSource, KeyToPath,
    NfsVolumeSource, ProjectedVolumeSource, Volume, VolumeSource,
};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::validation::{required, required_name, supported_or_empty};

use super::container::Volumes;
use super::env;
use super::resources::quantity;
use super::spec::In;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

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
            files(s.default_mode, &s.items, &at, errors);
        }),
        "configMap" => source.config_map.iter().for_each(|s| {
            required(&s.local_object_reference.name, &at.child("name"), errors);
            files(s.default_mode, &s.items, &at, errors);
        }),
        "downwardAPI" => source.downward_api.iter().for_each(|s| downward_api(s, &at, errors)),
        "projected" => source.projected.iter().for_each(|s| projected(s, &at, errors)),
        "nfs" => source.nfs.iter().for_each(|s| nfs(s, &at, errors)),
        "iscsi" => source.iscsi.iter().for_each(|s| iscsi(s, &at, errors)),
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
        _ => storage_system(source, &at, errors),
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

/// Checks the files that a secret or a config map becomes.
fn files(default_mode: Option<i32>, items: &[KeyToPath], path: &Path, errors: &mut ErrorList) {
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

fn downward_api(source: &DownwardApiVolumeSource, path: &Path, errors: &mut ErrorList) {
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

fn projected(source: &ProjectedVolumeSource, path: &Path, errors: &mut ErrorList) {
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

fn nfs(source: &NfsVolumeSource, path: &Path, errors: &mut ErrorList) {
    required(&source.server, &path.child("server"), errors);
    required(&source.path, &path.child("path"), errors);
    if !source.path.starts_with('/') {
        errors.push(FieldError::invalid(&path.child("path"), &source.path, "must be an absolute path"));
    }
}

fn iscsi(source: &IscsiVolumeSource, path: &Path, errors: &mut ErrorList) {
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

/// What other storage systems cannot do without.
fn storage_system(source: &VolumeSource, path: &Path, errors: &mut ErrorList) {
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

/// True if no part of a path is `..`.
pub(super) fn no_backsteps(path: &str) -> bool {
    path.split('/').all(|part| part != "..")
}

/// A path inside a volume must not lead out of it.
pub(super) fn stays_inside(value: &str, path: &Path, errors: &mut ErrorList) {
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
