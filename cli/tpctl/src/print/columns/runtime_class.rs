//! RuntimeClasses.

use super::{Column, Columns, age_of, column};
use api::node::v1::RuntimeClass;
use jiff::Timestamp;

impl Columns for RuntimeClass {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("HANDLER"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![self.metadata.name.clone(), self.handler.clone(), age_of(self, now)]
    }
}
