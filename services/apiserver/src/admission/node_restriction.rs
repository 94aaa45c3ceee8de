//! Keeps a kubelet to its own node and to the pods that are bound to it.
//!
//! The node authorizer decides by names; this plugin looks at the objects. It concerns users `system:node:<name>` of the group
//! `system:nodes` only: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction>.

use std::collections::BTreeMap;

use api::core::v1::{Node, Pod};
use api::pod_references::first_kind;
use async_trait::async_trait;

use super::{AnyObject, Attributes, Operation, Plugin, forbidden};
use crate::auth::node_name;
use crate::registry::Lookup;
use crate::request::RequestContext;

const MIRROR: &str = "kubernetes.io/config.mirror";
const NODE_LEASES: &str = "kube-node-lease";

pub(super) struct NodeRestriction {
    nodes: Box<dyn Nodes>,
}

/// What the plugin looks up.
#[async_trait]
pub(super) trait Nodes: Send + Sync + 'static {
    /// The uid of a node, if it exists.
    async fn uid(&self, name: &str) -> api::Result<Option<String>>;
}

#[async_trait]
impl Nodes for Lookup<Node> {
    async fn uid(&self, name: &str) -> api::Result<Option<String>> {
        let known = match self.get("", name) {
            Some(node) => Some(node),
            // A kubelet registers its node, and a moment later it mirrors its pods.
            None => self.get_live("", name).await?,
        };
        Ok(known.map(|node| node.metadata.uid))
    }
}

impl NodeRestriction {
    pub(super) fn new(nodes: impl Nodes) -> Self {
        Self { nodes: Box::new(nodes) }
    }

    /// What only holds for a pod that a kubelet makes: it mirrors a pod of its own, and needs nothing of the API.
    async fn mirror(&self, node: &str, attributes: &Attributes<'_>) -> api::Result<()> {
        let pod: Option<&Pod> = object(attributes.object.as_deref());
        let Some(pod) = pod else { return Ok(()) };
        mirror_pod(node, pod).map_err(|why| forbidden(attributes, why))?;
        let owner = &pod.metadata.owner_references[0];
        let uid = self.nodes.uid(node).await?.ok_or_else(|| api::Error::not_found("", "nodes", node))?;
        require(owner.uid == uid, || format!("node {node} UID mismatch: expected {} got {uid}", owner.uid))
            .map_err(|why| forbidden(attributes, why))
    }
}

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
        verdict.map_err(|why| forbidden(attributes, why))?;
        match (attributes.kind.kind, attributes.operation, attributes.subresource) {
            ("Pod", Operation::Create, "") => self.mirror(node, attributes).await,
            _ => Ok(()),
        }
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

/// A mirror pod belongs to its node, and to nobody else.
fn mirror_pod(node: &str, pod: &Pod) -> Result<(), String> {
    let itself = || format!("node {node:?} can only create pods with an owner reference set to itself");
    let owner = match pod.metadata.owner_references.as_slice() {
        [owner] => owner,
        [] => return Err(itself()),
        _ => return Err(format!("node {node:?} can only create pods with a single owner reference set to itself")),
    };
    require(owner.api_version == "v1" && owner.kind == "Node" && owner.name == node, itself)?;
    require(owner.controller == Some(true), || {
        format!("node {node:?} can only create pods with a controller owner reference set to itself")
    })?;
    require(owner.block_owner_deletion != Some(true), || {
        format!("node {node:?} must not set blockOwnerDeletion on an owner reference")
    })?;
    match first_kind(pod) {
        None => Ok(()),
        Some("serviceaccounts") => Err(format!("node {node:?} can not create pods that reference a service account")),
        Some(kind) => Err(format!("node {node:?} can not create pods that reference {kind}")),
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

    struct OneNode;

    #[async_trait]
    impl Nodes for OneNode {
        async fn uid(&self, name: &str) -> api::Result<Option<String>> {
            Ok((name == "a").then(|| "uid-of-a".to_owned()))
        }
    }

    fn plugin() -> NodeRestriction {
        NodeRestriction::new(OneNode)
    }

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
        pass(&plugin(), &NODE, Some(&mut node("a")), None).await.unwrap();
        let error = pass(&plugin(), &NODE, Some(&mut node("b")), None).await.unwrap_err();
        assert_eq!(error.message, "nodes \"b\" is forbidden: node \"a\" is not allowed to modify node \"b\"");

        let mut untainted = node("a");
        let mut tainted = node("a");
        tainted.spec.taints.push(Default::default());
        assert!(pass(&plugin(), &update, Some(&mut untainted), Some(&tainted)).await.is_err());
        let others = Request { user: ("kubernetes-admin", "system:masters"), ..update };
        assert!(pass(&plugin(), &others, Some(&mut untainted), Some(&tainted)).await.is_ok());
    }

    #[tokio::test]
    async fn a_kubelet_writes_its_own_pods_only() {
        let request = |operation, subresource| Request { operation, subresource, ..NODE };
        let (status, delete) = (request(Operation::Update, "status"), request(Operation::Delete, ""));
        for (bound_to, allowed) in [("a", true), ("b", false), ("", false)] {
            let old = pod(bound_to);
            assert_eq!(pass(&plugin(), &status, Some(&mut old.clone()), Some(&old)).await.is_ok(), allowed);
            assert_eq!(pass(&plugin(), &delete, None, Some(&old)).await.is_ok(), allowed);
        }
        let create = pass(&plugin(), &NODE, Some(&mut pod("a")), None).await.unwrap_err();
        assert!(create.message.contains("can only create mirror pods"), "{create}");
    }

    /// A mirror pod as a kubelet makes it, changed.
    fn mirror(change: impl FnOnce(&mut Pod)) -> Pod {
        let mut pod = pod("a");
        pod.metadata.annotations.insert(MIRROR.into(), "hash".into());
        pod.metadata.owner_references = serde_json::from_value(serde_json::json!([
            {"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "uid-of-a", "controller": true},
        ]))
        .unwrap();
        change(&mut pod);
        pod
    }

    #[tokio::test]
    async fn a_mirror_pod_belongs_to_its_node_and_needs_nothing_of_the_api() {
        pass(&plugin(), &NODE, Some(&mut mirror(|_| {})), None).await.unwrap();
        let volume = |json| move |pod: &mut Pod| pod.spec.volumes = serde_json::from_value(json).unwrap();
        let table: [(Pod, &str); 9] = [
            (
                mirror(|pod| pod.spec.node_name = "b".into()),
                "node \"a\" can only create pods with spec.nodeName set to itself",
            ),
            (
                mirror(|pod| pod.metadata.owner_references.clear()),
                "node \"a\" can only create pods with an owner reference set to itself",
            ),
            (
                mirror(|pod| pod.metadata.owner_references.push(Default::default())),
                "node \"a\" can only create pods with a single owner reference set to itself",
            ),
            (
                mirror(|pod| pod.metadata.owner_references[0].name = "b".into()),
                "node \"a\" can only create pods with an owner reference set to itself",
            ),
            (
                mirror(|pod| pod.metadata.owner_references[0].controller = None),
                "node \"a\" can only create pods with a controller owner reference set to itself",
            ),
            (
                mirror(|pod| pod.metadata.owner_references[0].block_owner_deletion = Some(true)),
                "node \"a\" must not set blockOwnerDeletion on an owner reference",
            ),
            (
                mirror(|pod| pod.metadata.owner_references[0].uid = "old".into()),
                "node a UID mismatch: expected old got uid-of-a",
            ),
            (
                mirror(|pod| pod.spec.service_account_name = "robot".into()),
                "node \"a\" can not create pods that reference a service account",
            ),
            (
                mirror(volume(serde_json::json!([{"name": "v", "secret": {"secretName": "s"}}]))),
                "node \"a\" can not create pods that reference secrets",
            ),
        ];
        for (mut pod, why) in table {
            let error = pass(&plugin(), &NODE, Some(&mut pod), None).await.unwrap_err();
            assert_eq!(error.message, format!("pods \"web\" is forbidden: {why}"));
        }
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
