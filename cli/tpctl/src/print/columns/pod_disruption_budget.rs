//! PodDisruptionBudgets.

use super::{Column, Columns, age_of, column};
use api::policy::v1::PodDisruptionBudget;
use jiff::Timestamp;

impl Columns for PodDisruptionBudget {
    const COLUMNS: &'static [Column] = &[
        column("NAME"),
        column("MIN AVAILABLE"),
        column("MAX UNAVAILABLE"),
        column("ALLOWED DISRUPTIONS"),
        column("AGE"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let or_not = |value: Option<String>| value.unwrap_or_else(|| "N/A".to_owned());
        vec![
            self.metadata.name.clone(),
            or_not(self.spec.min_available.as_ref().map(ToString::to_string)),
            or_not(self.spec.max_unavailable.as_ref().map(ToString::to_string)),
            self.status.disruptions_allowed.to_string(),
            age_of(self, now),
        ]
    }
}
