//! ConfigMaps.

use super::{Column, Columns, age_of, column};
use api::core::v1::ConfigMap;
use jiff::Timestamp;

impl Columns for ConfigMap {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("DATA"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let entries = self.data.len() + self.binary_data.len();
        vec![self.metadata.name.clone(), entries.to_string(), age_of(self, now)]
    }
}
