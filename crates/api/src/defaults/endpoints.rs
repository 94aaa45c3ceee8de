//! Endpoints and EndpointSlices: ports are TCP.

use super::text;
use crate::core::v1::Endpoints;
use crate::discovery::v1::EndpointSlice;

/// Sets the defaults of Endpoints.
pub fn endpoints(endpoints: &mut Endpoints) {
    for port in endpoints.subsets.iter_mut().flat_map(|subset| &mut subset.ports) {
        text(&mut port.protocol, "TCP");
    }
}

/// Sets the defaults of an EndpointSlice.
pub fn endpoint_slice(slice: &mut EndpointSlice) {
    for port in &mut slice.ports {
        port.name.get_or_insert_default();
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
    }
}
