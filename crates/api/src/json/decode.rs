//! From a JSON or YAML document to an object, with errors that name the field.
//!
//! A document is checked against the schema tables first: a value of the wrong type is an error, a member that the kind does not have is an
//! error, a warning or nothing, as the client asks (https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation).

use super::schema::{Field, Message, Shape, Type};
use crate::{Error, Resource};
use serde_json::Value;

/// What happens to members that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, with a warning each.
    Warn,
    /// They are an error.
    #[default]
    Strict,
}

impl FieldValidation {
    /// From the `fieldValidation` of a request; unset is `Warn`, as on Kubernetes' server. `None`: not one of the three.
    pub fn from_option(text: &str) -> Option<FieldValidation> {
        match text {
            "Ignore" => Some(FieldValidation::Ignore),
            "" | "Warn" => Some(FieldValidation::Warn),
            "Strict" => Some(FieldValidation::Strict),
            _ => None,
        }
    }
}

/// Reads an object of kind `K`. Returns it with the warnings.
///
/// # Errors
/// `BadRequest`, with Kubernetes' message: another kind, a value of a wrong type, or (strict) members that `K` does not have.
pub fn decode<K: Resource>(document: Value, validation: FieldValidation) -> Result<(K, Vec<String>), Error> {
    let info = K::INFO;
    let refuse = |why: String| {
        let version = info.version;
        Error::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}",
            kind = info.kind
        ))
    };
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if (!kind.is_empty() && kind != info.kind) || (!api_version.is_empty() && api_version != info.api_version()) {
        return Err(refuse(format!(
            "the object is a {kind} of {api_version}, expected {} of {}",
            info.kind,
            info.api_version()
        )));
    }
    let mut check = Check::default();
    check.object(K::SCHEMA, &document, "");
    if let Some(mismatch) = check.mismatch {
        return Err(refuse(mismatch));
    }
    let unknown: Vec<String> = check.unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    if validation == FieldValidation::Strict && !unknown.is_empty() {
        return Err(refuse(format!("strict decoding error: {}", unknown.join(", "))));
    }
    let object = serde_json::from_value(document).map_err(|e| refuse(e.to_string()))?;
    Ok((object, if validation == FieldValidation::Warn { unknown } else { Vec::new() }))
}

/// The documents of a YAML (or JSON) file, without the empty ones.
///
/// # Errors
/// `BadRequest` with the line and column of what is not YAML.
pub fn documents(text: &str) -> Result<Vec<Value>, Error> {
    use serde::Deserialize as _;
    let mut found = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|e| Error::bad_request(format!("not valid YAML: {e}")))?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

/// What is wrong with a document: the first value of a wrong type, and all unknown members.
#[derive(Default)]
struct Check {
    mismatch: Option<String>,
    unknown: Vec<String>,
}

impl Check {
    fn object(&mut self, schema: &'static Message, value: &Value, path: &str) {
        let Value::Object(members) = value else {
            if !value.is_null() {
                self.mismatched(value, path, schema.name);
            }
            return;
        };
        for (key, member) in members {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match schema.field(key) {
                Some(field) => self.field(field, member, &path),
                None if schema.is_kind && (key == "apiVersion" || key == "kind") => {}
                None => self.unknown.push(path),
            }
        }
    }

    fn field(&mut self, field: &'static Field, value: &Value, path: &str) {
        match (field.shape, value) {
            (_, Value::Null) => {}
            (Shape::Single, value) => self.value(field.ty, value, path),
            (Shape::List, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(field.ty, item, &format!("{path}[{index}]"));
                }
            }
            (Shape::Map, Value::Object(entries)) => {
                for (key, entry) in entries {
                    self.value(field.ty, entry, &format!("{path}.{key}"));
                }
            }
            (Shape::List, other) => self.mismatched(other, path, "[]"),
            (Shape::Map, other) => self.mismatched(other, path, "map"),
        }
    }

    fn value(&mut self, ty: Type, value: &Value, path: &str) {
        let integer = |value: &Value, min: i64, max: i64| value.as_i64().is_some_and(|n| (min..=max).contains(&n));
        let fits = match ty {
            Type::Message(schema) => return self.object(schema, value, path),
            Type::Any => true,
            Type::String | Type::Bytes | Type::Time | Type::MicroTime => value.is_string(),
            Type::Bool => value.is_boolean(),
            Type::Int32 => integer(value, i32::MIN.into(), i32::MAX.into()),
            Type::Int64 => integer(value, i64::MIN, i64::MAX),
            Type::Quantity => value.is_string() || value.is_number(),
            Type::IntOrString => value.is_string() || integer(value, i32::MIN.into(), i32::MAX.into()),
        };
        if !fits && !value.is_null() {
            self.mismatched(value, path, type_name(ty));
        }
    }

    fn mismatched(&mut self, value: &Value, path: &str, expected: &str) {
        self.mismatch.get_or_insert_with(|| {
            let found = match value {
                Value::Null => "null".to_owned(),
                Value::Bool(_) => "bool".to_owned(),
                Value::Number(n) => format!("number {n}"),
                Value::String(_) => "string".to_owned(),
                Value::Array(_) => "array".to_owned(),
                Value::Object(_) => "object".to_owned(),
            };
            format!("json: cannot unmarshal {found} into field {path} of type {expected}")
        });
    }
}

/// As the Go types are called.
fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::String => "string",
        Type::Bool => "bool",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Bytes => "base64 string",
        Type::Time => "v1.Time",
        Type::MicroTime => "v1.MicroTime",
        Type::Quantity => "resource.Quantity",
        Type::IntOrString => "intstr.IntOrString",
        Type::Any => "json",
        Type::Message(message) => message.name,
    }
}
