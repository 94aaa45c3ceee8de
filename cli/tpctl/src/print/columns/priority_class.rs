//! PriorityClasses.

use super::{Column, Columns, age_of, column};
use api::scheduling::v1::PriorityClass;
use jiff::Timestamp;

impl Columns for PriorityClass {
    const COLUMNS: &'static [Column] =
        &[column("NAME"), column("VALUE"), column("GLOBAL-DEFAULT"), column("AGE"), column("PREEMPTIONPOLICY")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.metadata.name.clone(),
            self.value.to_string(),
            self.global_default.to_string(),
            age_of(self, now),
            self.preemption_policy.clone().unwrap_or_default(),
        ]
    }
}
