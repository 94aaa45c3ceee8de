//! Endpoints.

use super::{Column, Columns, age_of, column, or_none};
use api::core::v1::{EndpointSubset, Endpoints};
use jiff::Timestamp;

/// So many addresses are shown; the rest is counted.
const SHOWN: usize = 3;

impl Columns for Endpoints {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("ENDPOINTS"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let all: Vec<String> = self.subsets.iter().flat_map(addresses).collect();
        vec![self.metadata.name.clone(), or_none(&first_of(&all)), age_of(self, now)]
    }
}

fn addresses(subset: &EndpointSubset) -> Vec<String> {
    if subset.ports.is_empty() {
        return subset.addresses.iter().map(|address| address.ip.clone()).collect();
    }
    let of_port = |port: i32| subset.addresses.iter().map(move |address| format!("{}:{port}", address.ip));
    subset.ports.iter().flat_map(|port| of_port(port.port)).collect()
}

/// `a,b,c + 2 more...`
pub(super) fn first_of(all: &[String]) -> String {
    let shown = all[..all.len().min(SHOWN)].join(",");
    if all.len() > SHOWN { format!("{shown} + {} more...", all.len() - SHOWN) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn three_addresses_are_shown_and_the_rest_is_counted() {
        let endpoints: Endpoints = serde_json::from_value(json!({ "subsets": [
            { "addresses": [{ "ip": "10.0.0.1" }, { "ip": "10.0.0.2" }], "ports": [{ "port": 80 }, { "port": 443 }] }] }))
        .unwrap();
        assert_eq!(endpoints.cells(Timestamp::UNIX_EPOCH)[1], "10.0.0.1:80,10.0.0.2:80,10.0.0.1:443 + 1 more...");
        assert_eq!(Endpoints::default().cells(Timestamp::UNIX_EPOCH)[1], "<none>");
    }
}
