//! Keeps a kubelet to its own node and to the pods that are bound to it.
//!
//! The node authorizer decides by names; this plugin looks at the objects. It concerns users `system:node:<name>` of the group
//! `system:nodes` only: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction>.

use std::collections::BTreeMap;

use api::core::v1::{Node, Pod};
use async_trait::async_trait;

use super::{AnyObject, Attributes, Operation, Plugin, forbidden};
use crate::auth::node_name;
use crate::request::RequestContext;

const MIRROR: &str = "kubernetes.io/config.mirror";
const NODE_LEASES: &str = "kube-node-lease";

pub(super) struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn concerns(&self, ctx: &RequestContext, attributes: &Attributes<'_>) -> bool {
        matches!(attributes.kind.kind, "Node" | "Pod" | "Lease") && node_name(&ctx.user).is_some()
    }

    async fn admit(&self, ctx: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()> {
        let Some(node) = node_name(&ctx.user) else { return Ok(()) };
        let verdict = match attributes.kind.kind {
            "Node" => node_write(node, attributes),
            "Pod" => pod_write(node, attributes),
            _ => lease_write(node, attributes),
        };
        verdict.map_err(|why| forbidden(attributes, why))
    }
}

fn object<K: api::Resource>(object: Option<&dyn AnyObject>) -> Option<&K> {
    object.and_then(|object| object.downcast_ref())
}

fn node_write(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let new: Option<&Node> = object(attributes.object.as_deref());
    let old: Option<&Node> = object(attributes.old_object);
    let name = new.or(old).map_or(attributes.name, |object| object.metadata.name.as_str());
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let Some(new) = new else { return Ok(()) };
    let no_labels = BTreeMap::new();
    let refused = refused_labels(&new.metadata.labels, old.map_or(&no_labels, |old| &old.metadata.labels));
    if !refused.is_empty() {
        return Err(format!("is not allowed to modify labels: {}", refused.join(", ")));
    }
    // A new node may come with taints; later they are others' word against it.
    if old.is_some_and(|old| old.spec.taints != new.spec.taints) {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    if old.is_some_and(|old| old.metadata.owner_references != new.metadata.owner_references) {
        return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    Ok(())
}

fn pod_write(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let new: Option<&Pod> = object(attributes.object.as_deref());
    let old: Option<&Pod> = object(attributes.old_object);
    let is_mine = |pod: Option<&Pod>| pod.is_some_and(|pod| pod.spec.node_name == node);
    match (attributes.operation, attributes.subresource) {
        (Operation::Create, "") => {
            if !new.is_some_and(|pod| pod.metadata.annotations.contains_key(MIRROR)) {
                return Err(format!(
                    "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
                ));
            }
            require(is_mine(new), || format!("node {node:?} can only create pods with spec.nodeName set to itself"))
        }
        (Operation::Update, "status") => {
            require(is_mine(old), || {
                format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself")
            })?;
            let labels = |pod: Option<&Pod>| pod.map(|pod| pod.metadata.labels.clone());
            require(labels(new) == labels(old), || format!("node {node:?} cannot update labels through pod status"))
        }
        (Operation::Delete, "") => {
            require(is_mine(old), || format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        (operation, _) => {
            Err(format!("unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods"))
        }
    }
}

fn lease_write(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let name = match (&attributes.object, attributes.name) {
        (Some(object), "") => object.metadata().name.as_str(),
        (_, name) => name,
    };
    require(attributes.namespace == NODE_LEASES, || {
        format!("can only access leases in the {NODE_LEASES:?} system namespace")
    })?;
    require(name == node, || "can only access node lease with the same name as the requesting node".to_owned())
}

fn require(holds: bool, why_not: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why_not()) }
}

/// The labels that a node changed although they are not its own to set, in order.
fn refused_labels<'a>(new: &'a BTreeMap<String, String>, old: &'a BTreeMap<String, String>) -> Vec<&'a str> {
    let changed = new.keys().chain(old.keys()).filter(|key| new.get(*key) != old.get(*key));
    let mut refused: Vec<_> = changed.map(String::as_str).filter(|key| !is_own_label(key)).collect();
    refused.sort_unstable();
    refused.dedup();
    refused
}

/// Kubernetes keeps its own label names for itself, except those by which a kubelet describes its machine.
fn is_own_label(key: &str) -> bool {
    const OWN: [&str; 12] = [
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.kubernetes.io/zone",
    ];
    let Some((domain, _)) = key.split_once('/') else { return true };
    let within = |parent: &str| domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    if within("node-restriction.kubernetes.io") {
        return false;
    }
    let reserved = within("kubernetes.io") || within("k8s.io");
    !reserved || OWN.contains(&key) || within("kubelet.kubernetes.io") || within("node.kubernetes.io")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::{CREATE, Request, pass};

    const NODE: Request<'static> = Request { user: ("system:node:a", "system:nodes"), ..CREATE };

    fn node(name: &str) -> Node {
        let mut node = Node::default();
        node.metadata.name = name.into();
        node
    }

    fn pod(bound_to: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = "web".into();
        pod.spec.node_name = bound_to.into();
        pod
    }

    #[tokio::test]
    async fn a_kubelet_writes_its_own_node_only() {
        let update = Request { operation: Operation::Update, ..NODE };
        pass(&NodeRestriction, &NODE, Some(&mut node("a")), None).await.unwrap();
        let error = pass(&NodeRestriction, &NODE, Some(&mut node("b")), None).await.unwrap_err();
        assert_eq!(error.message, "nodes \"b\" is forbidden: node \"a\" is not allowed to modify node \"b\"");

        let mut untainted = node("a");
        let mut tainted = node("a");
        tainted.spec.taints.push(Default::default());
        assert!(pass(&NodeRestriction, &update, Some(&mut untainted), Some(&tainted)).await.is_err());
        let others = Request { user: ("kubernetes-admin", "system:masters"), ..update };
        assert!(pass(&NodeRestriction, &others, Some(&mut untainted), Some(&tainted)).await.is_ok());
    }

    #[tokio::test]
    async fn a_kubelet_writes_its_own_pods_only() {
        let request = |operation, subresource| Request { operation, subresource, ..NODE };
        let (status, delete) = (request(Operation::Update, "status"), request(Operation::Delete, ""));
        for (bound_to, allowed) in [("a", true), ("b", false), ("", false)] {
            let old = pod(bound_to);
            assert_eq!(pass(&NodeRestriction, &status, Some(&mut old.clone()), Some(&old)).await.is_ok(), allowed);
            assert_eq!(pass(&NodeRestriction, &delete, None, Some(&old)).await.is_ok(), allowed);
        }
        let create = pass(&NodeRestriction, &NODE, Some(&mut pod("a")), None).await.unwrap_err();
        assert!(create.message.contains("can only create mirror pods"), "{create}");
    }

    #[test]
    fn a_node_describes_its_machine_and_nothing_else() {
        for (key, own) in [
            ("disk", true),
            ("example.com/rack", true),
            ("kubernetes.io/hostname", true),
            ("kubernetes.io/role", false),
            ("node-role.kubernetes.io/control-plane", false),
            ("node.kubernetes.io/instance-type", true),
            ("kubelet.kubernetes.io/anything", true),
            ("team.node-restriction.kubernetes.io/secret", false),
            ("notkubernetes.io/x", true),
        ] {
            assert_eq!(is_own_label(key), own, "{key}");
        }
    }
}
