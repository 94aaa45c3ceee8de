//! Leases.

use super::{Column, Columns, age_of, column};
use api::coordination::v1::Lease;
use jiff::Timestamp;

impl Columns for Lease {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("HOLDER"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let holder = self.spec.holder_identity.clone().unwrap_or_default();
        vec![self.metadata.name.clone(), holder, age_of(self, now)]
    }
}
