//! What a kubelet may do: the node authorizer (<https://kubernetes.io/docs/reference/access-authn-authz/node/>).
//!
//! A kubelet is the user `system:node:<name>` of the group `system:nodes`. It may read what runs on its node, and write its node, its
//! lease and the status of its pods. Reads are decided here, because they depend on the name and the selector alone; that a
//! node writes only its own pods depends on the objects and is checked in admission (`NodeRestriction`).
//!
//! Members of [`NODE_SIMULATORS`] host many nodes in one process and have the rights of all of them.

use std::sync::Arc;

use api::selector::field;

use super::{Action, Authorizer, Decision, NODE_PREFIX, NODE_SIMULATORS, NODES};
use crate::request::UserInfo;

/// Where the namespace of node leases is named.
const NODE_LEASES: &str = "kube-node-lease";

/// What must be known of the pods that are bound to nodes. Answers may be as old as the cache of pods is.
pub trait BoundPods: Send + Sync + 'static {
    /// Whether the pod exists and is bound to `node`.
    fn is_bound(&self, namespace: &str, pod: &str, node: &str) -> bool;

    /// Whether a pod bound to `node` uses this `configmaps`, `secrets` or `serviceaccounts` object.
    fn uses(&self, node: &str, resource: &str, namespace: &str, name: &str) -> bool;
}

/// The name of the node whose kubelet this is.
pub fn node_name(user: &UserInfo) -> Option<&str> {
    let is_node = user.groups.iter().any(|group| group == NODES);
    user.name.strip_prefix(NODE_PREFIX).filter(|name| is_node && !name.is_empty())
}

/// Allows kubelets what they need.
pub struct NodeAuthorizer {
    pods: Arc<dyn BoundPods>,
}

impl NodeAuthorizer {
    /// Decides on what `pods` knows.
    pub fn new(pods: Arc<dyn BoundPods>) -> Self {
        Self { pods }
    }
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, user: &UserInfo, action: &Action<'_>) -> Decision {
        let decision = if let Some(node) = node_name(user) {
            self.decide(node, action)
        } else if user.groups.iter().any(|group| group == NODE_SIMULATORS) {
            if is_work_of_a_node(action) { Ok(()) } else { Err(String::new()) }
        } else {
            Err(String::new())
        };
        decision.map_or_else(Decision::NoOpinion, |()| Decision::Allow)
    }
}

/// The resources and verbs that some node needs, whichever objects they are about.
fn is_work_of_a_node(action: &Action<'_>) -> bool {
    let Action::Resource { verb, group, resource, subresource, .. } = *action else { return false };
    let reads = matches!(verb, "get" | "list" | "watch");
    match (group, resource, subresource) {
        ("", "nodes", "") => reads || matches!(verb, "create" | "update" | "patch"),
        ("", "nodes" | "pods", "status") => matches!(verb, "update" | "patch"),
        ("", "pods", "") => reads || matches!(verb, "create" | "delete"),
        ("", "events", "") => matches!(verb, "create" | "update" | "patch"),
        ("", "services", "") | ("node.k8s.io", "runtimeclasses", "") => reads,
        ("", "configmaps" | "secrets" | "serviceaccounts", "") => reads,
        ("coordination.k8s.io", "leases", "") => {
            matches!(verb, "get" | "create" | "update" | "patch" | "delete")
        }
        _ => false,
    }
}

impl NodeAuthorizer {
    /// The error says why not; it is empty where no node may do this.
    fn decide(&self, node: &str, action: &Action<'_>) -> Result<(), String> {
        let Action::Resource { verb, group, resource, namespace, name, field_selector, .. } = *action else {
            return Err(String::new());
        };
        if !is_work_of_a_node(action) {
            return Err(String::new());
        }
        match (group, resource, verb) {
            ("", "nodes", "list" | "watch") => require(selects(field_selector, "metadata.name", node), || {
                format!("node '{node}' can only list/watch its own Node, with the field selector metadata.name={node}")
            }),
            // A create has no name here; NodeRestriction looks at the object.
            ("", "nodes", verb) => require(name == node || verb == "create", || {
                format!("node '{node}' cannot {verb} '{name}', only its own Node object")
            }),
            ("", "pods", "list" | "watch") => require(selects(field_selector, "spec.nodeName", node), || {
                "can only list/watch pods with spec.nodeName field selector".to_owned()
            }),
            ("", "pods", "get") => require(self.pods.is_bound(namespace, name, node), || unrelated(node)),
            ("", "configmaps" | "secrets" | "serviceaccounts", _) => {
                let one = !name.is_empty() || selects_any_name(field_selector);
                require(one, || "can only read namespaced object of this type".to_owned())?;
                let name = if name.is_empty() { selected_name(field_selector) } else { name.to_owned() };
                require(self.pods.uses(node, resource, namespace, &name), || unrelated(node))
            }
            ("coordination.k8s.io", "leases", verb) => {
                require(namespace == NODE_LEASES, || {
                    format!("can only access leases in the \"{NODE_LEASES}\" system namespace")
                })?;
                require(name == node || verb == "create", || {
                    "can only access node lease with the same name as the requesting node".to_owned()
                })
            }
            _ => Ok(()),
        }
    }
}

fn require(holds: bool, why_not: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why_not()) }
}

fn unrelated(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

/// Whether the selector lets through only objects whose field is `value`.
fn selects(selector: &str, path: &str, value: &str) -> bool {
    selector.parse::<field::Selector>().is_ok_and(|selector| selector.required_value(path) == Some(value))
}

fn selects_any_name(selector: &str) -> bool {
    !selected_name(selector).is_empty()
}

fn selected_name(selector: &str) -> String {
    let parsed = selector.parse::<field::Selector>().unwrap_or_default();
    parsed.required_value("metadata.name").unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pod `default/mine` is bound to node `a` and uses the config map `settings`.
    struct OnePod;

    impl BoundPods for OnePod {
        fn is_bound(&self, namespace: &str, pod: &str, node: &str) -> bool {
            (namespace, pod, node) == ("default", "mine", "a")
        }

        fn uses(&self, node: &str, resource: &str, namespace: &str, name: &str) -> bool {
            (node, resource, namespace, name) == ("a", "configmaps", "default", "settings")
        }
    }

    /// `verb group resource[/sub] [namespace/name] [selector]`, `-` for the core group.
    fn ask(user: &UserInfo, question: &str) -> Decision {
        let words: Vec<_> = question.split(' ').collect();
        let (resource, subresource) = words[2].split_once('/').unwrap_or((words[2], ""));
        let (namespace, name) = words.get(3).unwrap_or(&"/").split_once('/').unwrap();
        let field_selector = words.get(4).copied().unwrap_or_default();
        let group = if words[1] == "-" { "" } else { words[1] };
        let verb = words[0];
        let action = Action::Resource { verb, group, resource, subresource, namespace, name, field_selector };
        NodeAuthorizer::new(Arc::new(OnePod)).authorize(user, &action)
    }

    fn user(name: &str, group: &str) -> UserInfo {
        UserInfo { name: name.into(), groups: vec![group.into()] }
    }

    #[test]
    fn a_kubelet_sees_and_writes_its_own_node_only() {
        let node = user("system:node:a", "system:nodes");
        let table = [
            ("create - nodes", true),
            ("get - nodes /a", true),
            ("get - nodes /b", false),
            ("patch - nodes/status /a", true),
            ("patch - nodes/status /b", false),
            ("delete - nodes /a", false),
            ("watch - nodes / metadata.name=a", true),
            ("watch - nodes / metadata.name=b", false),
            ("list - nodes", false),
            ("watch - pods / spec.nodeName=a", true),
            ("watch - pods / spec.nodeName=a,status.phase!=Failed", true),
            ("watch - pods / spec.nodeName=b", false),
            ("list - pods", false),
            ("get - pods default/mine", true),
            ("get - pods default/other", false),
            ("delete - pods default/mine", true),
            ("patch - pods default/mine", false),
            ("patch - pods/status default/mine", true),
            ("create - pods/binding default/mine", false),
            ("get - configmaps default/settings", true),
            ("watch - configmaps default/ metadata.name=settings", true),
            ("list - configmaps default/", false),
            ("get - configmaps default/other", false),
            ("get - secrets default/settings", false),
            ("create - secrets default/", false),
            ("create coordination.k8s.io leases kube-node-lease/", true),
            ("update coordination.k8s.io leases kube-node-lease/a", true),
            ("update coordination.k8s.io leases kube-node-lease/b", false),
            ("update coordination.k8s.io leases kube-system/a", false),
            ("create - events default/", true),
            ("list - services", true),
            ("list apps deployments", false),
        ];
        for (question, allowed) in table {
            assert_eq!(ask(&node, question) == Decision::Allow, allowed, "{question}");
        }
    }

    #[test]
    fn a_denial_says_what_a_node_may_do_instead() {
        let node = user("system:node:a", "system:nodes");
        let why = |question| match ask(&node, question) {
            Decision::NoOpinion(why) => why,
            Decision::Allow => panic!("{question}"),
        };
        assert_eq!(why("get - nodes /b"), "node 'a' cannot get 'b', only its own Node object");
        assert_eq!(why("list - pods"), "can only list/watch pods with spec.nodeName field selector");
        assert_eq!(why("list apps deployments"), "");
    }

    #[test]
    fn a_simulator_acts_for_every_node_and_a_name_without_the_group_for_none() {
        let simulator = user("system:node-simulator", NODE_SIMULATORS);
        for question in
            ["patch - nodes/status /b", "list - pods", "update coordination.k8s.io leases kube-node-lease/b"]
        {
            assert_eq!(ask(&simulator, question), Decision::Allow, "{question}");
            assert_ne!(ask(&user("system:node:b", "other"), question), Decision::Allow, "{question}");
        }
        assert_ne!(ask(&simulator, "create apps deployments default/"), Decision::Allow);
        assert_ne!(ask(&user("system:node:", NODES), "list - services"), Decision::Allow);
    }
}
