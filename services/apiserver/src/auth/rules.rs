//! What each of the system's own identities may do: one table.
//!
//! The identities and their rights are those of Kubernetes' bootstrap roles, for the kinds that are served here. A later RBAC
//! reads the same rights from Role objects, behind the same [`Authorizer`]. Kubelets are not in this table: what a node may do
//! depends on which node it is ([`NodeAuthorizer`](super::NodeAuthorizer)). The console reads traces, not objects, and has
//! no rights at all.

use super::{Action, Authorizer, Decision, MASTERS};
use crate::request::UserInfo;

/// Allows what [`GRANTS`] say.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRules;

impl Authorizer for SystemRules {
    fn authorize(&self, user: &UserInfo, action: &Action<'_>) -> Decision {
        let allowed = GRANTS
            .iter()
            .filter(|(subject, _)| subject.is(user))
            .any(|(_, rules)| rules.iter().any(|rule| rule.allows(action)));
        if allowed { Decision::Allow } else { Decision::NoOpinion(String::new()) }
    }
}

/// Whom a grant is for.
enum Subject {
    User(&'static str),
    Group(&'static str),
}

impl Subject {
    fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => user.name == *name,
            Self::Group(group) => user.groups.iter().any(|mine| mine == group),
        }
    }
}

/// The table.
const GRANTS: &[(Subject, &[Rule])] = &[
    // Whoever repairs a cluster. `tpctl` acts as `kubernetes-admin` of this group.
    (Subject::Group(MASTERS), &[may("*", "*", "*"), may_path("*", "*")]),
    // Anyone who said who they are may ask what is served.
    (Subject::Group(super::AUTHENTICATED), &[may_path("get", "/version"), may_path("*", "/grpc.reflection.*")]),
    (Subject::Group("system:monitoring"), &[may_path("get", "/metrics")]),
    (
        Subject::User("system:kube-scheduler"),
        &[
            // What it decides on.
            may("get list watch", "", "nodes pods namespaces services"),
            may("get list watch", "apps", "replicasets"),
            may("get list watch", "policy", "poddisruptionbudgets"),
            may("get list watch", "scheduling.k8s.io", "priorityclasses"),
            // What it decides.
            may("create", "", "pods/binding bindings"),
            may("update patch", "", "pods/status"),
            // Preemption.
            may("delete", "", "pods"),
            may("create patch update", "", "events"),
            // Leader election.
            may("create", "coordination.k8s.io", "leases").within("kube-system"),
            may("get list watch update patch", "coordination.k8s.io", "leases")
                .within("kube-system")
                .named("kube-scheduler"),
        ],
    ),
    (
        Subject::User("system:kube-controller-manager"),
        &[
            // The garbage collector and the namespace controller work on every kind that there is.
            may("get list watch patch update delete deletecollection", "*", "*"),
            may("update patch", "", "namespaces/status"),
            // Workloads.
            may("create", "apps", "replicasets controllerrevisions"),
            may("update patch", "apps", "deployments/status replicasets/status"),
            may("create", "batch", "jobs"),
            may("update patch", "batch", "jobs/status"),
            may("create", "", "pods"),
            // Endpoints.
            may("create", "", "endpoints"),
            may("create", "discovery.k8s.io", "endpointslices"),
            // The node lifecycle controller marks nodes and their pods, and evicts.
            may("update patch", "", "nodes/status pods/status"),
            may("update patch", "policy", "poddisruptionbudgets/status"),
            // What each namespace gets.
            may("create", "", "serviceaccounts configmaps"),
            may("create patch update", "", "events"),
            // Leader election.
            may("create", "coordination.k8s.io", "leases").within("kube-system"),
        ],
    ),
];

/// One thing that may be done. Lists are separated by spaces; `*` is everything.
struct Rule {
    verbs: &'static str,
    on: On,
}

enum On {
    Objects {
        group: &'static str,
        /// Plural names; a subresource is named with its resource (`pods/status`) and not included in it.
        resources: &'static str,
        /// Empty: everywhere.
        namespace: &'static str,
        /// Empty: every object.
        name: &'static str,
    },
    /// A path, or all that begin as it does up to a final `*`.
    Path(&'static str),
}

const fn may(verbs: &'static str, group: &'static str, resources: &'static str) -> Rule {
    Rule { verbs, on: On::Objects { group, resources, namespace: "", name: "" } }
}

const fn may_path(verbs: &'static str, path: &'static str) -> Rule {
    Rule { verbs, on: On::Path(path) }
}

impl Rule {
    const fn within(self, within: &'static str) -> Self {
        match self.on {
            On::Objects { group, resources, name, .. } => {
                Self { verbs: self.verbs, on: On::Objects { group, resources, namespace: within, name } }
            }
            On::Path(_) => self,
        }
    }

    const fn named(self, only: &'static str) -> Self {
        match self.on {
            On::Objects { group, resources, namespace, .. } => {
                Self { verbs: self.verbs, on: On::Objects { group, resources, namespace, name: only } }
            }
            On::Path(_) => self,
        }
    }

    fn allows(&self, action: &Action<'_>) -> bool {
        match (&self.on, action) {
            (
                On::Objects { group, resources, namespace, name },
                Action::Resource {
                    verb,
                    group: asked_group,
                    resource,
                    subresource,
                    namespace: asked_namespace,
                    name: asked_name,
                    ..
                },
            ) => {
                lists(self.verbs, verb)
                    && (*group == "*" || group == asked_group)
                    && lists_resource(resources, resource, subresource)
                    && (namespace.is_empty() || namespace == asked_namespace)
                    && (name.is_empty() || name == asked_name)
            }
            (On::Path(allowed), Action::Path { verb, path }) => {
                let covered = match allowed.strip_suffix('*') {
                    Some(beginning) => path.starts_with(beginning),
                    None => path == allowed,
                };
                lists(self.verbs, verb) && covered
            }
            _ => false,
        }
    }
}

fn lists(list: &str, word: &str) -> bool {
    list == "*" || list.split(' ').any(|listed| listed == word)
}

fn lists_resource(list: &str, resource: &str, subresource: &str) -> bool {
    if list == "*" {
        return true;
    }
    list.split(' ').any(|listed| match listed.split_once('/') {
        Some((listed, sub)) => listed == resource && sub == subresource,
        None => listed == resource && subresource.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, group: &str) -> UserInfo {
        UserInfo { name: name.into(), groups: vec![group.into()] }
    }

    /// `verb group resource[/sub] [namespace[/name]]`, `-` for the core group.
    fn ask(user: &UserInfo, question: &str) -> bool {
        let words: Vec<_> = question.split(' ').collect();
        let (resource, subresource) = words[2].split_once('/').unwrap_or((words[2], ""));
        let place = words.get(3).copied().unwrap_or_default();
        let (namespace, name) = place.split_once('/').unwrap_or((place, ""));
        let group = if words[1] == "-" { "" } else { words[1] };
        let action =
            Action::Resource { verb: words[0], group, resource, subresource, namespace, name, field_selector: "" };
        SystemRules.authorize(user, &action) == Decision::Allow
    }

    #[test]
    fn each_identity_may_do_its_work_and_no_more() {
        let admin = user("kubernetes-admin", "system:masters");
        let scheduler = user("system:kube-scheduler", "system:authenticated");
        let controllers = user("system:kube-controller-manager", "system:authenticated");
        let console = user("system:console", "system:authenticated");
        let table = [
            (&admin, "delete - nodes", true),
            (&admin, "update apps deployments/status default/x", true),
            (&scheduler, "watch - pods", true),
            (&scheduler, "create - pods/binding default/x", true),
            (&scheduler, "create - pods default", false),
            (&scheduler, "patch - pods/status default/x", true),
            (&scheduler, "patch - pods default/x", false),
            (&scheduler, "get - secrets default/x", false),
            (&scheduler, "update - nodes /n1", false),
            (&scheduler, "create coordination.k8s.io leases kube-system", true),
            (&scheduler, "update coordination.k8s.io leases kube-system/kube-scheduler", true),
            (&scheduler, "update coordination.k8s.io leases kube-system/kube-controller-manager", false),
            (&scheduler, "update coordination.k8s.io leases kube-node-lease/n1", false),
            (&controllers, "create - pods default", true),
            (&controllers, "create apps replicasets default", true),
            (&controllers, "create apps deployments default", false),
            (&controllers, "create - pods/binding default/x", false),
            (&controllers, "update apps deployments/status default/x", true),
            (&controllers, "patch - nodes /n1", true),
            (&controllers, "create - nodes", false),
            (&controllers, "create - secrets default", false),
            (&console, "list - pods", false),
            (&console, "get - namespaces /default", false),
        ];
        for (user, question, expected) in table {
            assert_eq!(ask(user, question), expected, "{}: {question}", user.name);
        }
    }

    #[test]
    fn paths_have_rights_of_their_own() {
        let ask = |group: &str, path: &str| {
            let action = Action::Path { verb: "get", path };
            SystemRules.authorize(&user("u", group), &action) == Decision::Allow
        };
        for (group, path, expected) in [
            ("system:masters", "/metrics", true),
            ("system:monitoring", "/metrics", true),
            ("system:authenticated", "/metrics", false),
            ("system:authenticated", "/version", true),
            ("system:authenticated", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
            ("system:unauthenticated", "/version", false),
        ] {
            assert_eq!(ask(group, path), expected, "{group} {path}");
        }
    }
}
