//! The question that every request has to pass, and how several answers become one.

use api::Denied;

use crate::request::UserInfo;

/// Something that a user is about to do.
///
/// As in Kubernetes a create has no name (it may not be known yet), except on a subresource.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Something with objects.
    Resource {
        /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
        verb: &'a str,
        /// API group; empty for the core group.
        group: &'a str,
        /// Plural name of the resource.
        resource: &'a str,
        /// `status`, `binding`, `log`, `exec`, `attach`, `portforward`, or empty.
        subresource: &'a str,
        /// Empty at the cluster's scope and for all namespaces.
        namespace: &'a str,
        /// Empty for all objects.
        name: &'a str,
        /// The field selector of a list or watch, as the client wrote it.
        field_selector: &'a str,
    },
    /// A call of something that is no resource: `/metrics`, or reflection.
    Path {
        /// `get`, or another HTTP method in lower case.
        verb: &'a str,
        /// The path.
        path: &'a str,
    },
}

impl Action<'_> {
    /// The error for whoever may not do this, in Kubernetes' words; `why` may be empty.
    pub fn denied(&self, user: &UserInfo, why: &str) -> api::Error {
        let mut error = match *self {
            Self::Resource { verb, group, resource, subresource, namespace, name, .. } => {
                api::Error::denied(&Denied { user: &user.name, verb, group, resource, subresource, namespace, name })
            }
            Self::Path { verb, path } => {
                api::Error::forbidden("", "", "", format!("User \"{}\" cannot {verb} path \"{path}\"", user.name))
            }
        };
        if !why.is_empty() {
            error.message = format!("{}: {why}", error.message);
        }
        error
    }
}

/// What one authorizer thinks of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The user may do it.
    Allow,
    /// This authorizer sees no ground to allow it; another one may. The text says why, and may be empty.
    NoOpinion(String),
}

/// Says whether a user may do something.
///
/// Answers from memory and at once: it runs before every request. What it decides on may be as old as the caches are.
pub trait Authorizer: Send + Sync + 'static {
    /// Decides. Must not depend on the order of calls.
    fn authorize(&self, user: &UserInfo, action: &Action<'_>) -> Decision;
}

/// Several authorizers: the first one that allows, allows. If none does, their reasons are told together.
pub struct Chain(Vec<Box<dyn Authorizer>>);

impl Chain {
    /// Asks the authorizers in this order.
    pub fn new(authorizers: Vec<Box<dyn Authorizer>>) -> Self {
        Self(authorizers)
    }
}

impl Authorizer for Chain {
    fn authorize(&self, user: &UserInfo, action: &Action<'_>) -> Decision {
        let mut reasons: Vec<String> = Vec::new();
        for authorizer in &self.0 {
            match authorizer.authorize(user, action) {
                Decision::Allow => return Decision::Allow,
                Decision::NoOpinion(reason) if reason.is_empty() => {}
                Decision::NoOpinion(reason) => reasons.push(reason),
            }
        }
        Decision::NoOpinion(reasons.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(Decision);

    impl Authorizer for Says {
        fn authorize(&self, _: &UserInfo, _: &Action<'_>) -> Decision {
            self.0.clone()
        }
    }

    fn chain(decisions: &[Decision]) -> Decision {
        let user = UserInfo { name: "u".into(), ..UserInfo::default() };
        let authorizers = decisions.iter().map(|decision| Box::new(Says(decision.clone())) as Box<dyn Authorizer>);
        Chain::new(authorizers.collect()).authorize(&user, &Action::Path { verb: "get", path: "/metrics" })
    }

    #[test]
    fn one_that_allows_is_enough_and_silence_is_a_no() {
        let no = |why: &str| Decision::NoOpinion(why.to_owned());
        assert_eq!(chain(&[no("a"), Decision::Allow, no("b")]), Decision::Allow);
        assert_eq!(chain(&[no("a"), no(""), no("b")]), no("a, b"));
        assert_eq!(chain(&[]), no(""));
    }

    #[test]
    fn a_denial_speaks_as_kubernetes_does() {
        let user = UserInfo { name: "system:node:a".into(), ..UserInfo::default() };
        let action = Action::Resource {
            verb: "get",
            group: "",
            resource: "nodes",
            subresource: "",
            namespace: "",
            name: "b",
            field_selector: "",
        };
        assert_eq!(
            action.denied(&user, "node 'a' cannot read 'b', only its own Node object").message,
            "nodes \"b\" is forbidden: User \"system:node:a\" cannot get resource \"nodes\" in API group \"\" at the \
             cluster scope: node 'a' cannot read 'b', only its own Node object"
        );
        assert_eq!(
            Action::Path { verb: "get", path: "/metrics" }.denied(&user, "").message,
            "forbidden: User \"system:node:a\" cannot get path \"/metrics\""
        );
    }
}
