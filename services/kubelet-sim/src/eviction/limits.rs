//! Pods that use more local storage than they may. They are ended whatever the node has left. Pure.

use api::core::v1::Pod;
use api::pod_resources::limits;

use super::message::bytes;
use super::observation::PodUsage;

const STORAGE: &str = "ephemeral-storage";

/// What a pod that is over one of its limits is told, in Kubernetes' words.
pub(super) fn exceeded(pod: &Pod, usage: &PodUsage) -> Option<String> {
    empty_dir(pod, usage).or_else(|| whole(pod, usage)).or_else(|| container(pod, usage))
}

fn empty_dir(pod: &Pod, usage: &PodUsage) -> Option<String> {
    pod.spec.volumes.iter().find_map(|volume| {
        let limit = volume.volume_source.empty_dir.as_ref()?.size_limit.as_ref()?;
        let amount = limit.amount_or_zero();
        let used = bytes(*usage.volumes.get(&volume.name)?);
        let over = !amount.is_zero() && !amount.is_negative() && used > amount;
        over.then(|| {
            format!(
                "Usage of EmptyDir volume {:?} exceeds the limit {amount:?}. ",
                volume.name,
                amount = amount.to_string()
            )
        })
    })
}

fn whole(pod: &Pod, usage: &PodUsage) -> Option<String> {
    let limit = *limits(&pod.spec).get(STORAGE)?;
    (bytes(usage.disk()) > limit)
        .then(|| format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "))
}

fn container(pod: &Pod, usage: &PodUsage) -> Option<String> {
    pod.spec.containers.iter().find_map(|container| {
        let limit = container.resources.limits.get(STORAGE)?.amount_or_zero();
        let used = usage.containers.iter().find(|measured| measured.name == container.name)?;
        let over = !limit.is_zero() && bytes(used.disk) > limit;
        over.then(|| {
            format!("Container {} exceeded its local ephemeral storage limit {:?}. ", container.name, limit.to_string())
        })
    })
}
