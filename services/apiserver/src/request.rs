//! Who asks, and which steps of a journey the request performs.
//!
//! The front (authentication, the transport) makes a [`RequestContext`] per request; admission and the registry read it. It is all that
//! they know of a request beside its arguments: no headers, no connection.

use telemetry::ApiSteps;

/// What is known of a request before its arguments are looked at.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// Who asks.
    pub user: UserInfo,
    /// The step that each stage is. For a delete they are those of the graceful kind; the registry finds out whether the key goes at once.
    pub steps: ApiSteps,
    /// Whether a kubelet asks: the same write can be a different step then.
    pub from_kubelet: bool,
}

/// An authenticated user, as Kubernetes' `UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The name: a certificate's CN, `system:node:node-1`.
    pub name: String,
    /// The groups: a certificate's O, and `system:authenticated`.
    pub groups: Vec<String>,
}

impl UserInfo {
    /// True for the parts of the cluster itself: what they write, they write because of something else.
    ///
    /// An administrator with a name under `system:` stays a user.
    pub fn is_component(&self) -> bool {
        self.name.starts_with("system:") && !self.groups.iter().any(|group| group == "system:masters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_told_from_people() {
        let user = |name: &str, group: &str| UserInfo { name: name.to_owned(), groups: vec![group.to_owned()] };
        assert!(user("system:kube-scheduler", "system:authenticated").is_component());
        assert!(user("system:node:a", "system:nodes").is_component());
        assert!(!user("alice", "dev").is_component());
        assert!(!user("system:admin", "system:masters").is_component());
    }
}
