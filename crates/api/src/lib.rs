//! The Kubernetes API objects as traceplane serves them, and the rules that need nothing but the objects.
//!
//! One set of types, generated from `proto/`: prost makes the wire format, our own step (see `build/`) makes Kubernetes' JSON on the same
//! types. Around them stand the pure rules: quantities, selectors, names, defaults, validation, errors. This crate does no I/O and reads
//! no clock.
//!
//! Structs that Go holds by value are plain fields (`pod.spec.node_name`), Go pointers are `Option`s. As in Go, an empty string, zero or an
//! empty list means "not set" wherever the field is not an `Option`.

pub mod cidr;
pub mod controller_ref;
pub mod defaults;
mod error;
pub mod field;
pub mod host_ports;
mod int_or_percent;
pub mod json;
mod kind;
pub mod names;
pub mod node_affinity;
pub mod pod_conditions;
pub mod pod_references;
pub mod pod_resources;
pub mod qos;
pub mod quantity;
mod quoted;
pub mod rpc;
pub mod selector;
pub mod template_hash;
pub mod tolerations;
pub mod validation;

pub use error::{Denied, Details, Error, Reason, Result, StatusCause};
pub use generated::{KINDS, visit_kind};
pub use kind::{KindInfo, KindVisitor, Resource, find_kind};
pub use types::k8s::io::api::{apps, batch, coordination, core, discovery, node, policy, scheduling};
pub use types::k8s::io::apimachinery::pkg::api::resource;
pub use types::k8s::io::apimachinery::pkg::apis::meta;
pub use types::k8s::io::apimachinery::pkg::runtime;
pub use types::k8s::io::apimachinery::pkg::util::intstr;

/// The encoded `FileDescriptorSet` of all services and objects, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What prost makes of `proto/`; the fields' comments stand there.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
mod types {
    include!(concat!(env!("OUT_DIR"), "/types.rs"));
}

/// What `build/emit.rs` makes of it.
#[allow(clippy::all, reason = "generated")]
mod generated {
    use crate::json::{Fields, read, schema, write};
    use crate::kind::{KindInfo, KindVisitor, Resource};
    use serde::de::MapAccess;
    use serde::ser::SerializeMap;

    include!(concat!(env!("OUT_DIR"), "/schema.rs"));
}
