//! ControllerRevisions.

use super::{Column, Columns, NONE, age_of, column};
use api::apps::v1::ControllerRevision;
use api::controller_ref::controller_of;
use jiff::Timestamp;

impl Columns for ControllerRevision {
    const COLUMNS: &'static [Column] = &[column("NAME"), column("CONTROLLER"), column("REVISION"), column("AGE")];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let owner = controller_of(&self.metadata).map(|owner| {
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", owner.kind.to_ascii_lowercase(), owner.name)
        });
        vec![
            self.metadata.name.clone(),
            owner.unwrap_or_else(|| NONE.to_owned()),
            self.revision.to_string(),
            age_of(self, now),
        ]
    }
}
