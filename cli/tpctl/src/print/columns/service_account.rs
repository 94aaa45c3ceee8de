//! ServiceAccounts.

use super::{Column, Columns, age_of, column};
use api::core::v1::ServiceAccount;
use jiff::Timestamp;

impl Columns for ServiceAccount {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("SECRETS"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![self.metadata.name.clone(), self.secrets.len().to_string(), age_of(self, now)]
    }
}
