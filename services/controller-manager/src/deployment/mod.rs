//! Deployments: a pod template with a history, rolled out by scaling ReplicaSets against one another.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>
//!
//! ```text
//!                  +- create the ReplicaSet of the newest template
//! plan(observed) --+- scale ReplicaSets: a user's scaling, a step of the rollout, or neither
//!                  +- delete ReplicaSets beyond the history
//!                  +- status
//! ```
//!
//! [`plan`] decides everything from what the caches show and the time; [`controller`] looks, claims ReplicaSets, and carries the plan out.
//! Every run does at most one step of a rollout: the ReplicaSets' answers cause the next one.
//!
//! It never touches pods: that is the replicaset controller's work.

mod annotations;
mod bounds;
pub mod controller;
mod draft;
mod history;
pub mod plan;
mod recreate;
mod rolling;
mod scale;
mod status;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
