//! Which columns of a table are shown, and what is added to them.

use super::columns::{Column, NONE, cells, columns, labels};
use crate::objects::Object;
use api::KindInfo;
use jiff::Timestamp;

/// How a table looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// With the wide columns.
    pub(crate) wide: bool,
    /// With the namespace in front, for kinds that have one.
    pub(crate) namespace: bool,
    /// Names with their type: `pod/web`.
    pub(crate) kind: bool,
    /// With all labels at the end.
    pub(crate) labels: bool,
    /// Labels that get a column of their own.
    pub(crate) label_columns: Vec<String>,
}

impl View {
    /// The header of a kind's table.
    pub(crate) fn header(&self, info: &KindInfo) -> Vec<String> {
        let mut header = Vec::new();
        if self.namespace && info.namespaced {
            header.push("NAMESPACE".to_owned());
        }
        header.extend(columns(info).iter().filter(|c| self.shows(c)).map(|c| c.name.to_owned()));
        let last_part = |label: &String| label.rsplit('/').next().unwrap_or_default().to_ascii_uppercase();
        header.extend(self.label_columns.iter().map(last_part));
        if self.labels {
            header.push("LABELS".to_owned());
        }
        header
    }

    /// The row of an object.
    pub(crate) fn row(&self, object: &Object, now: Timestamp) -> Vec<String> {
        let (info, meta) = (object.info(), object.metadata());
        let mut row = Vec::new();
        if self.namespace && info.namespaced {
            row.push(meta.namespace.clone());
        }
        let cells = columns(info).iter().zip(cells(object, now)).filter(|(column, _)| self.shows(column));
        row.extend(cells.map(
            |(column, cell)| {
                if self.kind && column.name == "NAME" { object.full_name() } else { cell }
            },
        ));
        row.extend(self.label_columns.iter().map(|label| meta.labels.get(label).cloned().unwrap_or_default()));
        if self.labels {
            row.push(if meta.labels.is_empty() { NONE.to_owned() } else { labels(&meta.labels) });
        }
        row
    }

    fn shows(&self, column: &Column) -> bool {
        self.wide || !column.wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Resource as _;
    use api::core::v1::Namespace;
    use api::core::v1::Pod;

    #[test]
    fn columns_are_added_around_those_of_the_kind() {
        let mut pod = Pod::default();
        pod.metadata.name = "web".into();
        pod.metadata.namespace = "default".into();
        pod.metadata.labels.insert("app.kubernetes.io/name".into(), "web".into());
        pod.status.phase = "Running".into();
        let view = View {
            namespace: true,
            kind: true,
            labels: true,
            label_columns: vec!["app.kubernetes.io/name".into(), "x".into()],
            wide: false,
        };
        assert_eq!(view.header(Pod::INFO).join(" "), "NAMESPACE NAME READY STATUS RESTARTS AGE NAME X LABELS");
        assert_eq!(
            view.row(&Object::of(pod), Timestamp::UNIX_EPOCH),
            ["default", "pod/web", "0/0", "Running", "0", "<unknown>", "web", "", "app.kubernetes.io/name=web"]
        );
        assert_eq!(view.header(Namespace::INFO)[0], "NAME");
    }
}
