//! A pod's conditions, with Kubernetes' reasons and messages.

use api::core::v1::{PodCondition, PodStatus};
use api::pod_conditions::{
    CONTAINERS_READY, DISRUPTION_TARGET, INITIALIZED, POD_SCHEDULED, READY, READY_TO_START_CONTAINERS, condition,
    is_true, set_condition,
};

use super::super::Input;
use super::super::slot::{Role, init_slots};
use super::phase::exit_code;

/// A condition's status with its reason and message; both empty when there is nothing to explain.
type Truth = Result<&'static str, (&'static str, String)>;

const ORDER: [&str; 5] = [READY_TO_START_CONTAINERS, INITIALIZED, READY, CONTAINERS_READY, POD_SCHEDULED];

/// Takes back the kubelet's conditions, of a pod for which it does nothing.
pub(super) fn drop_own(status: &mut PodStatus) {
    status.conditions.retain(|condition| !ORDER.contains(&condition.r#type.as_str()));
}

/// Sets the kubelet's conditions and leaves those of others. `runs`: a container may still run.
pub(super) fn set(status: &mut PodStatus, input: &Input<'_>, runs: bool) {
    let sandbox_ready = input.observed.sandbox().is_some();
    let containers_ready = containers_ready(status, input);
    let truths: [(&str, Truth); 5] = [
        (READY_TO_START_CONTAINERS, if sandbox_ready { Ok("") } else { Err(("", String::new())) }),
        (INITIALIZED, initialized(status, input)),
        (READY, ready(status, input, &containers_ready)),
        (CONTAINERS_READY, containers_ready),
        (POD_SCHEDULED, Ok("")),
    ];
    for (kind, truth) in truths {
        let (value, reason, message) = match truth {
            Ok(reason) => ("True", reason, String::new()),
            Err((reason, message)) => ("False", reason, message),
        };
        let condition = PodCondition {
            r#type: kind.to_owned(),
            status: value.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: input.pod.metadata.generation,
            ..Default::default()
        };
        set_condition(status, condition, input.now);
    }
    // A disruption is told when it is over.
    if let Some(ended) = input.memory.ended.as_ref().filter(|_| input.memory.disrupted && !runs) {
        let condition = PodCondition {
            r#type: DISRUPTION_TARGET.to_owned(),
            status: "True".to_owned(),
            reason: "TerminationByKubelet".to_owned(),
            message: ended.message.clone(),
            observed_generation: input.pod.metadata.generation,
            ..Default::default()
        };
        set_condition(status, condition, input.now);
    }
    // In Kubernetes' order, after those of others.
    status.conditions.sort_by_key(|condition| ORDER.iter().position(|own| *own == condition.r#type));
}

fn initialized(status: &PodStatus, input: &Input<'_>) -> Truth {
    if status.phase == "Succeeded" {
        return Ok("PodCompleted");
    }
    let started = status.container_statuses.iter().any(|c| c.state.running.is_some() || exit_code(c).is_some());
    if started {
        return Ok("");
    }
    let slots = init_slots(&input.pod.spec);
    let incomplete: Vec<&str> = slots
        .zip(&status.init_container_statuses)
        .filter(|(slot, init)| match slot.role {
            Role::Sidecar => init.started != Some(true),
            _ => exit_code(init) != Some(0),
        })
        .map(|(slot, _)| slot.spec.name.as_str())
        .collect();
    if incomplete.is_empty() {
        return Ok("");
    }
    Err(("ContainersNotInitialized", format!("containers with incomplete status: [{}]", incomplete.join(" "))))
}

fn containers_ready(status: &PodStatus, input: &Input<'_>) -> Truth {
    match status.phase.as_str() {
        "Succeeded" => return Err(("PodCompleted", String::new())),
        "Failed" => return Err(("PodFailed", String::new())),
        _ => {}
    }
    let sidecars = init_slots(&input.pod.spec)
        .zip(&status.init_container_statuses)
        .filter(|(slot, _)| slot.role == Role::Sidecar)
        .map(|(_, status)| status);
    let unready: Vec<&str> =
        sidecars.chain(&status.container_statuses).filter(|c| !c.ready).map(|c| c.name.as_str()).collect();
    if unready.is_empty() {
        return Ok("");
    }
    Err(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
}

/// Ready is more than its containers: each readiness gate is a condition that somebody else must set.
fn ready(status: &PodStatus, input: &Input<'_>, containers: &Truth) -> Truth {
    if containers.is_err() {
        return containers.clone();
    }
    let missing: Vec<String> = (input.pod.spec.readiness_gates.iter())
        .filter(|gate| !is_true(status, &gate.condition_type))
        .map(|gate| match condition(status, &gate.condition_type) {
            Some(condition) => format!(
                "the status of pod readiness gate {:?} is not \"True\", but {}",
                gate.condition_type, condition.status
            ),
            None => format!("corresponding condition of pod readiness gate {:?} does not exist.", gate.condition_type),
        })
        .collect();
    if missing.is_empty() { Ok("") } else { Err(("ReadinessGatesNotReady", missing.join(", "))) }
}
