//! Namespaces.

use super::{Column, Columns, age_of, column};
use api::core::v1::Namespace;
use jiff::Timestamp;

impl Columns for Namespace {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("STATUS"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![self.metadata.name.clone(), self.status.phase.clone(), age_of(self, now)]
    }
}
