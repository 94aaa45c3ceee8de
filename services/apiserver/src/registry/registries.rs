//! The table of kinds: one line registers a kind.

use std::any::Any;
use std::sync::Arc;

use api::Resource;
use api::apps::v1::{ControllerRevision, Deployment, ReplicaSet};
use api::batch::v1::Job;
use api::coordination::v1::Lease;
use api::core::v1::{ConfigMap, Endpoints, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use api::discovery::v1::EndpointSlice;
use api::node::v1::RuntimeClass;
use api::policy::v1::PodDisruptionBudget;
use api::scheduling::v1::PriorityClass;
use service_kit::Clock;

use super::Registry;
use super::admission::Admission;
use super::cluster_ips::ClusterIps;
use super::housekeeping::Contents;
use super::kinds;
use super::storage::Storage;
use super::strategy::Strategy;
use crate::cache::Layout;

macro_rules! register {
    (|$addresses:ident| $($name:ident: $kind:ty => $strategy:expr;)*) => {
        /// A registry for each kind that is served.
        #[derive(Clone, Debug)]
        pub struct Registries {
            $(
                #[doc = concat!("Of every `", stringify!($kind), "`.")]
                pub $name: Registry<$kind>,
            )*
        }

        impl Registries {
            /// Registries on `storage` that ask `admission` before they write.
            pub fn new(storage: &Storage, admission: &Arc<dyn Admission>, clock: &Clock) -> Self {
                Self {
                    $($name: {
                        let strategy = Arc::clone(&storage.strategies().$name);
                        Registry::new(strategy, storage.clone(), Arc::clone(admission), clock.clone())
                    },)*
                }
            }

            /// All of them, as what namespaces contain.
            pub(super) fn contents(&self) -> Vec<&dyn Contents> {
                vec![$(&self.$name),*]
            }

            /// The registry of a kind.
            pub fn of<K: Resource>(&self) -> Registry<K> {
                let all: &[&dyn Any] = &[$(&self.$name),*];
                let found = all.iter().find_map(|registry| registry.downcast_ref::<Registry<K>>());
                found.expect("every kind is registered; a test holds the table to it").clone()
            }
        }

        /// The rules of each kind.
        pub(crate) struct Strategies {
            $(pub(super) $name: Arc<dyn Strategy<$kind>>,)*
        }

        impl Strategies {
            pub(super) fn new($addresses: &ClusterIps) -> Self {
                Self { $($name: Arc::new($strategy),)* }
            }

            pub(super) fn layouts(&self, root: &str) -> Vec<Layout> {
                vec![$(layout(root, &self.$name)),*]
            }
        }
    };
}

register! { |addresses|
    config_maps: ConfigMap => kinds::ConfigMaps;
    controller_revisions: ControllerRevision => kinds::ControllerRevisions;
    deployments: Deployment => kinds::Deployments;
    endpoint_slices: EndpointSlice => kinds::EndpointSlices;
    endpoints: Endpoints => kinds::EndpointsOfServices;
    events: Event => kinds::Events;
    jobs: Job => kinds::Jobs;
    leases: Lease => kinds::Leases;
    namespaces: Namespace => kinds::Namespaces;
    nodes: Node => kinds::Nodes;
    pod_disruption_budgets: PodDisruptionBudget => kinds::PodDisruptionBudgets;
    pods: Pod => kinds::Pods;
    priority_classes: PriorityClass => kinds::PriorityClasses;
    replica_sets: ReplicaSet => kinds::ReplicaSets;
    runtime_classes: RuntimeClass => kinds::RuntimeClasses;
    secrets: Secret => kinds::Secrets;
    service_accounts: ServiceAccount => kinds::ServiceAccounts;
    services: Service => kinds::Services::new(addresses.clone());
}

fn layout<K: Resource>(root: &str, strategy: &Arc<dyn Strategy<K>>) -> Layout {
    let fields = Arc::clone(strategy);
    Layout::new(format!("{root}{}/", strategy.path()), strategy.index(), move |object| fields.fields(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ServiceRange;
    use store::MemoryStore;

    #[test]
    fn every_kind_is_registered_once_where_kubernetes_keeps_it() {
        let addresses = ClusterIps::new(Arc::new(MemoryStore::new()), ServiceRange::default());
        let layouts = Strategies::new(&addresses).layouts("/registry/");
        let mut missing: Vec<_> = api::KINDS.iter().map(|kind| kind.kind).collect();
        for layout in &layouts {
            let before = missing.len();
            missing.retain(|kind| *kind != layout.kind.kind);
            assert_eq!(missing.len() + 1, before, "{} is registered twice", layout.kind.kind);
        }
        assert!(missing.is_empty(), "{missing:?}");
        for (kind, prefix) in [
            ("Pod", "/registry/pods/"),
            ("Node", "/registry/minions/"),
            ("Service", "/registry/services/specs/"),
            ("Endpoints", "/registry/services/endpoints/"),
            ("Lease", "/registry/leases/"),
        ] {
            let found = layouts.iter().find(|layout| layout.kind.kind == kind).unwrap();
            assert_eq!(found.prefix, prefix);
        }
    }
}
