//! Kinds without a layout of their own: every field, its name spelled out.

use super::events::events;
use super::metadata::{annotations, labels};
use super::writer::Writer;
use crate::objects::Object;
use api::core::v1::Event;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Members of metadata that are shown above, or by nobody.
const SHOWN: [&str; 5] = ["name", "namespace", "labels", "annotations", "managedFields"];
/// Words that are spelled in capitals.
const ACRONYMS: [&str; 6] = ["API", "IP", "UID", "URL", "CPU", "ID"];
/// Maps: the names of their members are the user's, and stay as they are.
const MAPS: [&str; 8] =
    ["data", "binaryData", "labels", "annotations", "matchLabels", "nodeSelector", "requests", "limits"];

/// An object and what happened to it.
pub(crate) fn generic(object: &Object, happened: &[Event], now: Timestamp) -> String {
    let (meta, mut writer) = (object.metadata(), Writer::default());
    writer.line(0, format!("Name:\t{}", meta.name));
    if object.info().namespaced {
        writer.line(0, format!("Namespace:\t{}", meta.namespace));
    }
    labels(&mut writer, "", "Labels", &meta.labels);
    annotations(&mut writer, "", &meta.annotations);
    let mut document = object.json();
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !SHOWN.contains(&name.as_str()));
    }
    if object.info().kind == "Secret" {
        hide_values(&mut document);
    }
    if let Value::Object(members) = &document {
        members_of(&mut writer, 0, members, spelled_out);
    }
    events(&mut writer, happened, now);
    writer.finish()
}

/// A description is often shown to others: a Secret says how long its values are.
fn hide_values(document: &mut Value) {
    use base64::Engine as _;
    for value in document.get_mut("data").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        let decoded = value.as_str().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
        *value = Value::String(format!("{} bytes", decoded.map_or(0, |bytes| bytes.len())));
    }
}

fn members_of(writer: &mut Writer, level: usize, members: &Map<String, Value>, title_of: fn(&str) -> String) {
    for (name, value) in members {
        let title = title_of(name);
        let inner_title_of = if MAPS.contains(&name.as_str()) { str::to_owned } else { spelled_out };
        match value {
            Value::Null => {}
            Value::Object(inner) if inner.is_empty() => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Object(inner) => {
                writer.line(level, format!("{title}:"));
                members_of(writer, level + 1, inner, inner_title_of);
            }
            Value::Array(items) => {
                writer.line(level, format!("{title}:"));
                items.iter().for_each(|item| match item {
                    Value::Object(inner) => members_of(writer, level + 1, inner, spelled_out),
                    other => writer.line(level + 1, text(other)),
                });
            }
            other => {
                let text = text(other);
                let mut lines = text.lines();
                writer.line(level, format!("{title}:\t{}", lines.next().unwrap_or_default()));
                lines.for_each(|line| writer.line(level, format!("\t{line}")));
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `creationTimestamp` is `Creation Timestamp`, `podIP` is `Pod IP`. What can be no field name stays as it is.
fn spelled_out(name: &str) -> String {
    if !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut last_was_upper = true;
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if !c.is_ascii_uppercase() || last_was_upper => word.push(c),
            _ => words.push(c.to_ascii_uppercase().to_string()),
        }
        last_was_upper = c.is_ascii_uppercase();
    }
    let capital = |word: &String| match word.to_ascii_uppercase() {
        upper if ACRONYMS.contains(&upper.as_str()) => upper,
        _ => word.clone(),
    };
    words.iter().map(capital).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::{ConfigMap, Secret};

    #[test]
    fn names_of_fields_are_spelled_out_and_keys_of_users_are_not() {
        for (name, expected) in [
            ("creationTimestamp", "Creation Timestamp"),
            ("apiVersion", "API Version"),
            ("podIP", "Pod IP"),
            ("uid", "UID"),
            ("data", "Data"),
            ("my-key.txt", "my-key.txt"),
        ] {
            assert_eq!(spelled_out(name), expected);
        }
    }

    #[test]
    fn every_field_is_shown_once() {
        let mut map = ConfigMap::default();
        map.metadata.name = "c".into();
        map.metadata.namespace = "default".into();
        map.data.insert("motd.txt".into(), "hello\nworld".into());
        map.data.insert("logLevel".into(), "debug".into());
        assert_eq!(
            generic(&Object::of(map), &[], Timestamp::UNIX_EPOCH),
            "Name:         c\nNamespace:    default\nLabels:       <none>\nAnnotations:  <none>\nAPI Version:  v1\nData:\n  \
             logLevel:  debug\n  motd.txt:  hello\n             world\nKind:        ConfigMap\nEvents:      <none>\n"
        );
    }

    #[test]
    fn a_secret_keeps_its_values() {
        let mut secret = Secret::default();
        secret.data.insert("password".into(), b"hunter2".to_vec());
        let text = generic(&Object::of(secret), &[], Timestamp::UNIX_EPOCH);
        assert!(text.contains("  password:  7 bytes") && !text.contains("hunter2"), "{text}");
    }
}
