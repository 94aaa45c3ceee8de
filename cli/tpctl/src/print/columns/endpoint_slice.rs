//! EndpointSlices.

use super::{Column, Columns, age_of, column};
use crate::print::columns::endpoints::first_of;
use api::discovery::v1::EndpointSlice;
use jiff::Timestamp;

/// What stands for an empty list.
const UNSET: &str = "<unset>";

impl Columns for EndpointSlice {
    const COLUMNS: &'static [Column] =
        &[column("NAME"), column("ADDRESSTYPE"), column("PORTS"), column("ENDPOINTS"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let ports: Vec<String> =
            self.ports.iter().map(|port| port.port.map_or("*".to_owned(), |port| port.to_string())).collect();
        let addresses: Vec<String> = self.endpoints.iter().flat_map(|e| e.addresses.clone()).collect();
        vec![
            self.metadata.name.clone(),
            self.address_type.clone(),
            or_unset(first_of(&ports)),
            or_unset(first_of(&addresses)),
            age_of(self, now),
        ]
    }
}

fn or_unset(text: String) -> String {
    if text.is_empty() { UNSET.to_owned() } else { text }
}
