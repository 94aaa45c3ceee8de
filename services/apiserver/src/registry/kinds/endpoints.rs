//! Endpoints and EndpointSlices: where a Service's pods answer.

use api::core::v1::Endpoints;
use api::discovery::v1::EndpointSlice;
use api::field::ErrorList;
use api::{defaults, validation};

use crate::registry::strategy::Strategy;

/// The rules of Endpoints.
pub(crate) struct EndpointsOfServices;

impl Strategy<Endpoints> for EndpointsOfServices {
    fn path(&self) -> &'static str {
        "services/endpoints"
    }

    fn set_defaults(&self, endpoints: &mut Endpoints) {
        defaults::endpoints(endpoints);
    }

    fn validate(&self, endpoints: &Endpoints) -> ErrorList {
        validation::endpoints::create(endpoints)
    }

    fn validate_update(&self, new: &Endpoints, old: &Endpoints) -> ErrorList {
        validation::endpoints::update(new, old)
    }
}

/// The rules of EndpointSlices.
pub(crate) struct EndpointSlices;

impl Strategy<EndpointSlice> for EndpointSlices {
    fn set_defaults(&self, slice: &mut EndpointSlice) {
        defaults::endpoint_slice(slice);
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, slice: &EndpointSlice) -> ErrorList {
        validation::endpoint_slice::create(slice)
    }

    fn validate_update(&self, new: &EndpointSlice, old: &EndpointSlice) -> ErrorList {
        validation::endpoint_slice::update(new, old)
    }
}
