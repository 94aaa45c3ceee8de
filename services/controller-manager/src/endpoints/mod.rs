//! Endpoints: the older form of EndpointSlices, one object per Service, for those who still read it.
//! <https://kubernetes.io/docs/concepts/services-networking/service/#endpoints>

pub mod controller;
pub mod plan;
