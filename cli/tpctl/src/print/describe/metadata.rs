//! Parts that many descriptions share: names, labels, annotations, selectors, tolerations.

use super::writer::Writer;
use crate::print::columns::NONE;
use api::core::v1::Toleration;
use api::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// A longer annotation starts on a line of its own, and is cut there.
const ANNOTATION: usize = 140;
/// What was applied last is the manifest once more.
const SKIPPED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `Labels:  a=1`, one per line.
pub(super) fn labels(writer: &mut Writer, indent: &str, title: &str, labels: &BTreeMap<String, String>) {
    list(writer, indent, title, labels.iter().map(|(key, value)| format!("{key}={value}")));
}

/// `Title:  first`, the others below it.
pub(super) fn list(writer: &mut Writer, indent: &str, title: &str, items: impl Iterator<Item = String>) {
    let mut start = format!("{indent}{title}:");
    let mut is_empty = true;
    for item in items {
        writer.line(0, format!("{start}\t{item}"));
        start = indent.to_owned();
        is_empty = false;
    }
    if is_empty {
        writer.line(0, format!("{start}\t{NONE}"));
    }
}

/// `Annotations:  a: 1`, one per line, long ones cut.
pub(super) fn annotations(writer: &mut Writer, indent: &str, annotations: &BTreeMap<String, String>) {
    let shown = annotations.iter().filter(|(key, _)| *key != SKIPPED);
    let lines = shown.flat_map(|(key, value)| {
        let value = value.trim_end_matches('\n');
        if key.len() + value.len() + 2 <= ANNOTATION && !value.contains('\n') {
            return vec![format!("{key}: {value}")];
        }
        let below = value.lines().map(|line| format!("  {}", shortened(line)));
        std::iter::once(format!("{key}:")).chain(below).collect()
    });
    list(writer, indent, "Annotations", lines);
}

fn shortened(line: &str) -> String {
    let limit = ANNOTATION - 2;
    if line.chars().count() <= limit { line.to_owned() } else { line.chars().take(limit).collect::<String>() + "..." }
}

/// `Tolerations:  key=value:effect for 300s`, one per line, sorted by key.
pub(super) fn tolerations(writer: &mut Writer, indent: &str, tolerations: &[Toleration]) {
    let mut sorted: Vec<&Toleration> = tolerations.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    list(writer, indent, "Tolerations", sorted.into_iter().map(toleration));
}

fn toleration(toleration: &Toleration) -> String {
    let mut text = toleration.key.clone();
    if !toleration.value.is_empty() {
        text += &format!("={}", toleration.value);
    }
    if !toleration.effect.is_empty() {
        text += &format!(":{}", toleration.effect);
    }
    if toleration.operator == "Exists" && toleration.value.is_empty() {
        let space = if text.is_empty() { "" } else { " " };
        text += &format!("{space}op=Exists");
    }
    if let Some(seconds) = toleration.toleration_seconds {
        text += &format!(" for {seconds}s");
    }
    text
}

/// `Controlled By:  ReplicaSet/web`, if it is.
pub(super) fn controlled_by(writer: &mut Writer, meta: &ObjectMeta) {
    if let Some(owner) = api::controller_ref::controller_of(meta) {
        writer.line(0, format!("Controlled By:\t{}/{}", owner.kind, owner.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_annotations_are_cut_and_what_was_applied_last_is_left_out() {
        let mut writer = Writer::default();
        let all = BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "x".repeat(200)),
            (SKIPPED.to_owned(), "{}".to_owned()),
        ]);
        annotations(&mut writer, "", &all);
        let text = writer.finish();
        assert_eq!(text, format!("Annotations:  a: 1\n              b:\n                {}...\n", "x".repeat(138)));
    }

    #[test]
    fn tolerations_say_what_how_and_for_how_long() {
        let make = |key: &str, operator: &str, value: &str, effect: &str, seconds| Toleration {
            key: key.into(),
            operator: operator.into(),
            value: value.into(),
            effect: effect.into(),
            toleration_seconds: seconds,
        };
        for (tolerated, expected) in [
            (
                make("node.kubernetes.io/not-ready", "Exists", "", "NoExecute", Some(300)),
                "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
            ),
            (make("a", "Equal", "b", "NoSchedule", None), "a=b:NoSchedule"),
            (make("", "Exists", "", "", None), "op=Exists"),
        ] {
            assert_eq!(toleration(&tolerated), expected);
        }
    }
}
