//! EndpointSlices: which addresses are behind a Service, and whether they serve.
//! <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/>
//!
//! A slice holds at most a hundred endpoints with the same ports, so that a change of one pod costs one small write. A pod that terminates
//! is not ready from the moment its deletion is committed; it stays listed as terminating until it is gone.

pub mod controller;
pub mod members;
pub mod plan;
