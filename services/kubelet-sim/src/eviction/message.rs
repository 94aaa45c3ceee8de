//! What an evicted pod is told, in Kubernetes' words. Pure.

use api::core::v1::{Container, Pod};
use api::quantity::{Amount, Format};

use super::observation::{Observations, PodUsage};
use super::threshold::Threshold;

/// Why a pod was ended for `resource`, of which these thresholds are crossed.
pub(super) fn pressure(
    resource: &str,
    pod: &Pod,
    usage: Option<&PodUsage>,
    starved: &[Threshold],
    observations: &Observations,
) -> String {
    let mut message = format!("The node was low on resource: {resource}. ");
    let crossed = starved.iter().filter(|threshold| threshold.signal.resource() == resource);
    let told = crossed.filter_map(|threshold| Some((threshold, observations.get(&threshold.signal)?))).next();
    if let Some((threshold, observed)) = told {
        let quantity = threshold.value.of(observed.capacity);
        message += &format!("Threshold quantity: {quantity}, available: {}. ", observed.available);
    }
    let Some(usage) = usage else { return message };
    if resource == "memory"
        && let Some(request) = pod.spec.resources.as_ref().and_then(|own| own.requests.get(resource))
    {
        let (name, used) = (&pod.metadata.name, bytes(usage.memory()));
        message += &blame("Pod", name, used, request.amount_or_zero(), resource);
    }
    for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
        let Some(measured) = usage.containers.iter().find(|measured| measured.name == container.name) else { continue };
        let used = match resource {
            "memory" => bytes(measured.memory),
            "ephemeral-storage" => bytes(measured.disk),
            _ => continue,
        };
        let request = requested(container, resource);
        if used > request {
            message += &blame("Container", &container.name, used, request, resource);
        }
    }
    message
}

fn blame(what: &str, name: &str, used: Amount, request: Amount, resource: &str) -> String {
    format!("{what} {name} was using {used}, request is {request}, has larger consumption of {resource}. ")
}

fn requested(container: &Container, resource: &str) -> Amount {
    container.resources.requests.get(resource).map_or(Amount::ZERO, |quantity| quantity.amount_or_zero())
}

pub(super) fn bytes(count: i64) -> Amount {
    Amount::new(count, Format::BinarySi)
}
