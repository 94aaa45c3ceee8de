//! Binding: a pod gets its node, once.

use api::core::v1::{Binding, Pod, PodCondition};
use api::field::{ErrorList, FieldError, Path};
use api::pod_conditions::{POD_SCHEDULED, set_condition};
use api::{Error, Resource};
use store::Revision;

use super::Registry;
use super::admission::{Attributes, Operation};
use super::strategy::Reservation;
use super::write::{Current, Decision};
use crate::request::RequestContext;

impl Registry<Pod> {
    /// Assigns a pod to a node: sets `spec.nodeName` and the condition `PodScheduled` in one transaction. Answers with its revision.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if the pod has a node already, is being deleted, is gated or is not the one that is meant, `Invalid` for a
    /// target that is no node, what admission says, and what the store says.
    pub async fn bind(&self, ctx: &RequestContext, namespace: &str, binding: Binding) -> Result<Revision, Error> {
        check(&binding)?;
        let namespace = if namespace.is_empty() { &binding.metadata.namespace } else { namespace };
        let mut current = self.current(namespace, &binding.metadata.name).await?;
        loop {
            let decision = self.decide_binding(ctx, &current, &binding).await;
            if let Some(settled) = self.settle(ctx, &mut current, decision, false).await? {
                return Ok(settled.revision);
            }
        }
    }

    async fn decide_binding(
        &self,
        ctx: &RequestContext,
        current: &Current,
        binding: &Binding,
    ) -> Result<Decision<Pod>, Error> {
        let old: Box<Pod> = Box::new(current.object.decode());
        let attributes = Attributes::new::<Pod>(Operation::Connect, current.object.namespace(), current.object.name());
        let mut attributes = Attributes { subresource: "binding", old_object: Some(&*old), ..attributes };
        self.admission().admit(ctx, &mut attributes).await?;
        self.admission().validate(ctx, &attributes).await?;
        let mut pod = old.clone();
        assign(&mut pod, binding, self.now())?;
        pod.metadata.resource_version.clear();
        Ok(Decision::Write(pod, Reservation::default()))
    }
}

fn check(binding: &Binding) -> Result<(), Error> {
    let mut errors = ErrorList::new();
    let target = Path::new("target");
    if !["", "Node"].contains(&binding.target.kind.as_str()) {
        errors.push(FieldError::not_supported(&target.child("kind"), &binding.target.kind, &["Node", "<empty>"]));
    }
    if binding.target.name.is_empty() {
        errors.push(FieldError::required(&target.child("name"), ""));
    }
    errors.into_result("", "Binding", &binding.metadata.name)
}

fn assign(pod: &mut Pod, binding: &Binding, now: jiff::Timestamp) -> Result<(), Error> {
    let name = &pod.metadata.name;
    let expected = &binding.metadata.uid;
    let refusal = if !expected.is_empty() && *expected != pod.metadata.uid {
        format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {}", pod.metadata.uid)
    } else if pod.metadata.deletion_timestamp.is_some() {
        format!("pod {name} is being deleted, cannot be assigned to a host")
    } else if !pod.spec.node_name.is_empty() {
        format!("pod {name} is already assigned to node {:?}", pod.spec.node_name)
    } else if !pod.spec.scheduling_gates.is_empty() {
        format!("pod {name} has non-empty .spec.schedulingGates")
    } else {
        pod.spec.node_name.clone_from(&binding.target.name);
        // It said where the scheduler hoped to place the pod; now it is placed.
        pod.status.nominated_node_name.clear();
        pod.metadata.annotations.extend(binding.metadata.annotations.clone());
        pod.metadata.labels.extend(binding.metadata.labels.clone());
        let scheduled =
            PodCondition { r#type: POD_SCHEDULED.to_owned(), status: "True".to_owned(), ..Default::default() };
        set_condition(&mut pod.status, scheduled, now);
        return Ok(());
    };
    Err(Error::conflict(Pod::INFO.group, "pods/binding", name, refusal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::PodSchedulingGate;
    use jiff::Timestamp;

    fn binding() -> Binding {
        let mut binding = Binding::default();
        binding.metadata.name = "web".to_owned();
        binding.target.name = "node-1".to_owned();
        binding
    }

    fn pod() -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        pod.metadata.uid = "u1".to_owned();
        pod
    }

    #[test]
    fn c4_a_binding_sets_node_and_condition() {
        let mut bound = pod();
        assign(&mut bound, &binding(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(bound.spec.node_name, "node-1");
        assert!(api::pod_conditions::is_true(&bound.status, POD_SCHEDULED));
    }

    #[test]
    fn a_pod_that_cannot_be_placed_is_a_conflict() {
        let refused = |change: fn(&mut Pod), uid: &str| {
            let (mut pod, mut binding) = (pod(), binding());
            change(&mut pod);
            binding.metadata.uid = uid.to_owned();
            let error = assign(&mut pod, &binding, Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(error.is_conflict());
            error.message
        };
        let start = "Operation cannot be fulfilled on pods/binding \"web\": ";
        assert_eq!(
            refused(|pod| pod.spec.node_name = "node-2".to_owned(), ""),
            format!("{start}pod web is already assigned to node \"node-2\"")
        );
        assert_eq!(
            refused(|pod| pod.metadata.deletion_timestamp = Some(Timestamp::UNIX_EPOCH.into()), "u1"),
            format!("{start}pod web is being deleted, cannot be assigned to a host")
        );
        assert_eq!(
            refused(|pod| pod.spec.scheduling_gates.push(PodSchedulingGate { name: "g".to_owned() }), ""),
            format!("{start}pod web has non-empty .spec.schedulingGates")
        );
        assert!(refused(|_| (), "u2").contains("UID in precondition: u2, UID in object meta: u1"));
    }

    #[test]
    fn a_target_must_be_a_node() {
        let mut wrong = binding();
        wrong.target.kind = "Pod".to_owned();
        wrong.target.name.clear();
        let error = check(&wrong).unwrap_err();
        assert_eq!((error.code(), error.details.causes.len()), (422, 2));
    }
}
