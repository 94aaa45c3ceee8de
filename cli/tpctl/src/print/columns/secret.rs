//! Secrets: never their contents.

use super::{Column, Columns, age_of, column};
use api::core::v1::Secret;
use jiff::Timestamp;

impl Columns for Secret {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("TYPE"), column("DATA"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![self.metadata.name.clone(), self.r#type.clone(), self.data.len().to_string(), age_of(self, now)]
    }
}
