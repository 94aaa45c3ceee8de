//! Image garbage collection: images that nobody uses go when the disk fills up.
//!
//! [`records`] remembers when each image came and was last used, and chooses, purely; [`collector`] asks the runtime and carries it out.
//! Thresholds, order, events and their texts are Kubernetes'. See
//! [garbage collection of images](https://kubernetes.io/docs/concepts/architecture/garbage-collection/#containers-images).

mod collector;
mod records;

pub use collector::{Collector, disk_usage, image_bytes};
pub use records::{Choice, Policy, Records};
