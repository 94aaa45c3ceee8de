//! What is particular about each kind, in the order of their importance to a reader.

mod config;
mod endpoints;
mod events;
mod jobs;
mod leases;
mod namespaces;
mod nodes;
mod pods;
mod policy;
mod services;
mod workloads;

pub(super) use config::{ConfigMaps, Secrets, ServiceAccounts};
pub(super) use endpoints::{EndpointSlices, EndpointsOfServices};
pub(super) use events::Events;
pub(super) use jobs::Jobs;
pub(super) use leases::Leases;
pub(super) use namespaces::{FINALIZER as NAMESPACE_FINALIZER, Namespaces};
pub(super) use nodes::Nodes;
pub(super) use pods::Pods;
pub(super) use policy::{PodDisruptionBudgets, PriorityClasses, RuntimeClasses};
pub(super) use services::{Services, address as address_of_service};
pub(super) use workloads::{ControllerRevisions, Deployments, ReplicaSets};
