//! The fields that a JSON Schema describes and a schema table lacks.

use api::json::schema::{Message, Type};
use serde_json::Value;
use std::collections::BTreeSet;

/// Paths of the missing fields, by type: `PodSpec.volumes`.
pub(crate) fn fields(ours: &'static Message, description: &Value) -> BTreeSet<String> {
    let mut walk = Walk { root: description, seen: BTreeSet::new(), missing: BTreeSet::new() };
    walk.message(ours, description);
    walk.missing
}

struct Walk<'a> {
    root: &'a Value,
    seen: BTreeSet<&'static str>,
    missing: BTreeSet<String>,
}

impl Walk<'_> {
    fn message(&mut self, ours: &'static Message, theirs: &Value) {
        if !self.seen.insert(ours.name) {
            return;
        }
        let Some(properties) = self.resolve(theirs).get("properties").and_then(Value::as_object).cloned() else {
            return;
        };
        for (name, property) in &properties {
            match ours.field(name) {
                Some(field) => {
                    if let Type::Message(inner) = field.ty {
                        let element = self.element(property);
                        self.message(inner, &element);
                    }
                }
                None if ours.is_kind && (name == "apiVersion" || name == "kind") => {}
                None => _ = self.missing.insert(format!("{}.{name}", ours.name)),
            }
        }
    }

    /// The schema of a value, or of the elements of a list or map.
    fn element(&self, property: &Value) -> Value {
        let property = self.resolve(property);
        let inner = property.get("items").or_else(|| property.get("additionalProperties").filter(|p| p.is_object()));
        inner.map_or_else(|| property.clone(), |inner| self.resolve(inner))
    }

    /// Follows `$ref`, also inside `allOf` and `anyOf` (optional values).
    fn resolve(&self, schema: &Value) -> Value {
        let mut schema = schema.clone();
        loop {
            if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
                schema = self.root.pointer(pointer.trim_start_matches('#')).cloned().expect("references resolve");
                continue;
            }
            let choice = ["allOf", "anyOf"].iter().find_map(|word| schema.get(word)?.as_array()?.first().cloned());
            match choice {
                Some(inner) => schema = inner,
                None => return schema,
            }
        }
    }
}
