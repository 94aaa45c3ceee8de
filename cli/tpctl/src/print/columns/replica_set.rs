//! ReplicaSets.

use super::{Column, Columns, age_of, column, containers, selector, wide};
use api::apps::v1::ReplicaSet;
use jiff::Timestamp;

impl Columns for ReplicaSet {
    const COLUMNS: &'static [Column] = &[
        column("NAME"),
        column("DESIRED"),
        column("CURRENT"),
        column("READY"),
        column("AGE"),
        wide("CONTAINERS"),
        wide("IMAGES"),
        wide("SELECTOR"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let [names, images] = containers(&self.spec.template.spec.containers);
        vec![
            self.metadata.name.clone(),
            self.spec.replicas.unwrap_or_default().to_string(),
            self.status.replicas.to_string(),
            self.status.ready_replicas.to_string(),
            age_of(self, now),
            names,
            images,
            selector(self.spec.selector.as_ref()),
        ]
    }
}
