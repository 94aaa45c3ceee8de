//! Who asks, and whether they may.
//!
//! [`Authenticator`] turns a verified client certificate or a bearer token into a user; an [`Authorizer`] says whether the user
//! may do what a request is about to do. Both decide on what they are given and do no I/O. The layers that apply them to each
//! request are in [`crate::server`].

mod authenticator;
mod authorizer;
mod bound_pods;
mod node;
mod rules;
mod token_file;

pub use authenticator::Authenticator;
pub(crate) use authenticator::who_are_you;
pub use authorizer::{Action, Authorizer, Chain, Decision};
pub use bound_pods::CachedPods;
pub use node::{BoundPods, NodeAuthorizer, node_name};
pub use rules::SystemRules;
pub use token_file::{TokenFile, TokenFileError};

/// Group of all who may do anything (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles>).
pub const MASTERS: &str = "system:masters";
/// Group of all who said who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of all kubelets.
pub const NODES: &str = "system:nodes";
/// What the user name of a kubelet begins with; the node's name follows.
pub const NODE_PREFIX: &str = "system:node:";
/// Group of a kubelet-sim that hosts many nodes in one process. Kubernetes has no such thing: its members may act for
/// every node, so a cluster that gives every node its own kubelet hands out no such certificate.
pub const NODE_SIMULATORS: &str = "system:node-simulators";
