//! Everything that is not a table: YAML, JSON, names, and the line that says what a command did.

use super::yaml::yaml;
use crate::objects::Object;
use serde_json::{Value, json};

/// How objects are printed, as `-o` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// The objects in YAML.
    Yaml,
    /// The objects in JSON.
    Json,
    /// `pod/web`, a line each.
    Name,
}

/// The values of `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// More columns.
    Wide,
    /// The objects in YAML.
    Yaml,
    /// The objects in JSON.
    Json,
    /// TYPE/NAME, a line each.
    Name,
}

impl From<Option<OutputFormat>> for Format {
    fn from(flag: Option<OutputFormat>) -> Format {
        match flag {
            None => Format::Table,
            Some(OutputFormat::Wide) => Format::Wide,
            Some(OutputFormat::Yaml) => Format::Yaml,
            Some(OutputFormat::Json) => Format::Json,
            Some(OutputFormat::Name) => Format::Name,
        }
    }
}

/// One object in YAML, JSON or by name, with a line break at the end.
pub(crate) fn print_document(object: &Object, format: Format) -> String {
    match format {
        Format::Name => format!("{}\n", object.full_name()),
        format => text(&shown(object), format),
    }
}

/// Several objects as one document of kind List, or their names.
pub(crate) fn print_list(objects: &[Object], format: Format) -> String {
    match format {
        Format::Name => objects.iter().map(|object| format!("{}\n", object.full_name())).collect(),
        format => {
            let items: Vec<Value> = objects.iter().map(shown).collect();
            let list =
                json!({ "apiVersion": "v1", "items": items, "kind": "List", "metadata": { "resourceVersion": "" } });
            text(&list, format)
        }
    }
}

/// What a command did: `pod/web created`; or the object, if the user wants to see that.
pub(crate) fn result_line(object: &Object, done: &str, format: Format) -> String {
    match format {
        Format::Table | Format::Wide => format!("{} {done}\n", object.full_name()),
        format => print_document(object, format),
    }
}

/// Who changed which field when is noise to a reader; kubectl leaves it out too.
fn shown(object: &Object) -> Value {
    let mut document = object.json();
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    document
}

fn text(document: &Value, format: Format) -> String {
    match format {
        Format::Json => {
            let mut text = Vec::new();
            let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
            serde::Serialize::serialize(document, &mut serializer).expect("a JSON value has a text");
            let mut text = String::from_utf8(text).expect("JSON is UTF-8");
            text.push('\n');
            text
        }
        _ => yaml(document),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::ConfigMap;
    use api::meta::v1::ManagedFieldsEntry;

    fn config_map() -> Object {
        let mut object = ConfigMap::default();
        object.metadata.name = "c".into();
        object.metadata.managed_fields.push(ManagedFieldsEntry::default());
        object.data.insert("k".into(), "v".into());
        Object::of(object)
    }

    #[test]
    fn documents_are_sorted_and_leave_out_who_changed_what() {
        assert_eq!(
            print_document(&config_map(), Format::Yaml),
            "apiVersion: v1\ndata:\n  k: v\nkind: ConfigMap\nmetadata:\n  name: c\n"
        );
        let json = print_document(&config_map(), Format::Json);
        assert!(json.starts_with("{\n    \"apiVersion\": \"v1\",\n    \"data\": {\n        \"k\": \"v\"\n"), "{json}");
        assert_eq!(print_document(&config_map(), Format::Name), "configmap/c\n");
    }

    #[test]
    fn several_objects_are_a_list_that_can_be_applied_again() {
        let text = print_list(&[config_map(), config_map()], Format::Yaml);
        assert!(text.starts_with("apiVersion: v1\nitems:\n- apiVersion: v1\n  data:\n    k: v\n"), "{text}");
        assert!(text.ends_with("kind: List\nmetadata:\n  resourceVersion: \"\"\n"), "{text}");
    }
}
