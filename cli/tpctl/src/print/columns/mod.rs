//! The columns of each kind's table, one module per kind.
//!
//! They are those that Kubernetes' server prints, in its order and words; the wide ones only with `-o wide`.

mod config_map;
mod controller_revision;
mod deployment;
mod endpoint_slice;
mod endpoints;
pub(crate) mod event;
mod job;
mod lease;
mod namespace;
mod node;
mod pod;
mod pod_disruption_budget;
mod priority_class;
mod replica_set;
mod runtime_class;
mod secret;
mod service;
mod service_account;

pub(crate) use node::roles;

use super::age;
use crate::objects::Object;
use api::core::v1::{ConfigMap, Container, Endpoints, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use api::meta::v1::LabelSelector;
use api::selector::label::Selector;
use api::{KindInfo, Resource, apps, batch, coordination, discovery, node as node_api, policy, scheduling};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What stands in an empty cell.
pub(crate) const NONE: &str = "<none>";

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    /// As the header shows it.
    pub(crate) name: &'static str,
    /// Only with `-o wide`.
    pub(crate) wide: bool,
}

/// A kind that has a table.
pub(crate) trait Columns: Resource {
    /// The columns, the first being the name.
    const COLUMNS: &'static [Column];

    /// The cells of one object: as many as there are columns.
    fn cells(&self, now: Timestamp) -> Vec<String>;
}

/// A column that is always shown.
const fn column(name: &'static str) -> Column {
    Column { name, wide: false }
}

/// A column of the wide table.
const fn wide(name: &'static str) -> Column {
    Column { name, wide: true }
}

/// Looks the kinds up: one line per kind makes its table known.
macro_rules! tables {
    ($($kind:ty),* $(,)?) => {
        /// The columns of a kind.
        pub(crate) fn columns(info: &KindInfo) -> &'static [Column] {
            $(if info.same_kind(<$kind>::INFO) { return <$kind as Columns>::COLUMNS; })*
            PLAIN
        }

        /// The cells of an object, as many as its kind has columns.
        pub(crate) fn cells(object: &Object, now: Timestamp) -> Vec<String> {
            $(if let Some(object) = object.typed::<$kind>() { return object.cells(now); })*
            let meta = object.metadata();
            vec![meta.name.clone(), age::since(meta.creation_timestamp.as_ref(), now)]
        }
    };
}

tables! {
    Pod, Node, Namespace, Service, Endpoints, Event, ConfigMap, Secret, ServiceAccount,
    apps::v1::Deployment, apps::v1::ReplicaSet, apps::v1::ControllerRevision, batch::v1::Job, coordination::v1::Lease,
    discovery::v1::EndpointSlice, policy::v1::PodDisruptionBudget, scheduling::v1::PriorityClass,
    node_api::v1::RuntimeClass,
}

/// The columns of a kind that has none of its own.
const PLAIN: &[Column] = &[column("NAME"), column("AGE")];

/// The age of an object.
fn age_of(object: &impl Resource, now: Timestamp) -> String {
    age::since(object.metadata().creation_timestamp.as_ref(), now)
}

fn or_none(text: &str) -> String {
    if text.is_empty() { NONE.to_owned() } else { text.to_owned() }
}

/// Names and images of containers, each list joined by commas.
fn containers(containers: &[Container]) -> [String; 2] {
    let joined = |part: fn(&Container) -> &str| containers.iter().map(part).collect::<Vec<_>>().join(",");
    [joined(|c| &c.name), joined(|c| &c.image)]
}

/// `app=web,tier in (a,b)`.
pub(crate) fn selector(selector: Option<&LabelSelector>) -> String {
    match Selector::of(selector) {
        Ok(selector) => or_none(&selector.to_string()),
        Err(_) => "<error>".to_owned(),
    }
}

/// `a=1,b=2`.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    or_none(&labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_table_whose_rows_fit_its_header() {
        struct Empty;
        impl api::KindVisitor for Empty {
            type Output = Object;
            fn visit<K: Resource>(self) -> Object {
                Object::of(K::default())
            }
        }
        for info in api::KINDS {
            let object = api::visit_kind(info, Empty).unwrap();
            assert_eq!(cells(&object, Timestamp::UNIX_EPOCH).len(), columns(info).len(), "{}", info.kind);
            assert_eq!(columns(info)[0].name, if info.kind == "Event" { "LAST SEEN" } else { "NAME" });
        }
    }
}
