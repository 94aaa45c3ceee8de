//! Volumes, as far as a node without disks has them: what a volume refers to must exist.

use api::core::v1::{Pod, Volume};

use super::PodApi;

/// Makes a pod's volumes available. The error names the volume and what it lacks, in Kubernetes' words.
pub(super) async fn mount(api: &dyn PodApi, pod: &Pod) -> Result<(), String> {
    for volume in &pod.spec.volumes {
        set_up(api, pod, volume)
            .await
            .map_err(|why| format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name))?;
    }
    Ok(())
}

async fn set_up(api: &dyn PodApi, pod: &Pod, volume: &Volume) -> Result<(), String> {
    let source = &volume.volume_source;
    if let Some(map) = &source.config_map {
        config_map(api, pod, &map.local_object_reference.name, map.optional).await?;
    }
    if let Some(secret_source) = &source.secret {
        secret(api, pod, &secret_source.secret_name, secret_source.optional).await?;
    }
    if let Some(claim) = &source.persistent_volume_claim {
        return Err(format!("persistentvolumeclaim {:?} not found", claim.claim_name));
    }
    for part in source.projected.iter().flat_map(|projected| &projected.sources) {
        if let Some(map) = &part.config_map {
            config_map(api, pod, &map.local_object_reference.name, map.optional).await?;
        }
        if let Some(projected) = &part.secret {
            secret(api, pod, &projected.local_object_reference.name, projected.optional).await?;
        }
    }
    Ok(())
}

async fn config_map(api: &dyn PodApi, pod: &Pod, name: &str, optional: Option<bool>) -> Result<(), String> {
    let found = api.config_map(&pod.metadata.namespace, name).await.map(drop);
    missing_or(found, optional, || format!("configmap {name:?} not found"))
}

async fn secret(api: &dyn PodApi, pod: &Pod, name: &str, optional: Option<bool>) -> Result<(), String> {
    let found = api.secret(&pod.metadata.namespace, name).await.map(drop);
    missing_or(found, optional, || format!("secret {name:?} not found"))
}

fn missing_or(found: api::Result<()>, optional: Option<bool>, missing: impl FnOnce() -> String) -> Result<(), String> {
    match found {
        Err(error) if error.is_not_found() => {
            if optional == Some(true) {
                Ok(())
            } else {
                Err(missing())
            }
        }
        other => other.map_err(|error| error.message),
    }
}
