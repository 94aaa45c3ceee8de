//! Strategic merge: a partial document in which lists of objects are merged by a key.
//!
//! The schema says which lists have a key (`containers` by `name`) or are sets (`finalizers`); all other lists are replaced. Directives say
//! what a partial document alone cannot
//! (<https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md>):
//!
//! | directive | where | means |
//! |---|---|---|
//! | `$patch: delete` | object | it becomes empty; in a list: the element with this key goes |
//! | `$patch: replace` | object | nothing of the old one stays; in a list: of all elements |
//! | `$retainKeys: [k]` | object | all other members go |
//! | `$deleteFromPrimitiveList/f: [v]` | beside `f` | these values go |
//! | `$setElementOrder/f: [k]` | beside `f` | the elements come in this order |

use api::Error;
use api::json::schema::{Field, Message, Shape, Type};
use serde_json::{Map, Value};

use super::element_order;

type Object = Map<String, Value>;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// Merges `patch` into `document`, which has this schema.
pub(super) fn merge(document: &mut Value, patch: &Value, schema: &'static Message) -> Result<(), Error> {
    match (document, patch) {
        (Value::Object(document), Value::Object(patch)) => merge_object(document, patch, Some(schema)),
        _ => Err(Error::bad_request("invalid JSON document")),
    }
}

/// What `$patch` says of an object.
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Object) -> Result<Directive, Error> {
    match patch.get(PATCH) {
        None => Ok(Directive::Merge),
        Some(Value::String(word)) if word == "merge" => Ok(Directive::Merge),
        Some(Value::String(word)) if word == "replace" => Ok(Directive::Replace),
        Some(Value::String(word)) if word == "delete" => Ok(Directive::Delete),
        Some(other) => Err(Error::bad_request(format!("Unknown patch type: {other} in map: {}", shown(patch)))),
    }
}

/// Merges the members of an object. Without a schema (a map with free keys, an unknown field) lists are replaced.
fn merge_object(document: &mut Object, patch: &Object, schema: Option<&'static Message>) -> Result<(), Error> {
    match directive(patch)? {
        Directive::Delete => {
            document.clear();
            return Ok(());
        }
        Directive::Replace => {
            document.clear();
            document
                .extend(patch.iter().filter(|(key, _)| *key != PATCH).map(|(key, value)| (key.clone(), value.clone())));
            return Ok(());
        }
        Directive::Merge => {}
    }
    retain_keys(document, patch)?;
    // Values go before others come, so that a value can be in both.
    for (key, values) in patch {
        if let Some(name) = key.strip_prefix(DELETE_VALUES) {
            delete_values(document, name, values)?;
        }
    }
    let before = lists_before(document, patch);
    for (key, value) in patch.iter().filter(|(key, _)| !is_directive(key)) {
        let field = schema.and_then(|schema| schema.field(key));
        merge_member(document, key, value, field)?;
    }
    for (key, order) in patch {
        if let Some(name) = key.strip_prefix(ELEMENT_ORDER) {
            let merge_key = schema.and_then(|schema| schema.field(name)).and_then(|field| field.merge_key);
            let sent = patch.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let before = before.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, list)| list);
            set_order(document, name, order, sent, before, merge_key)?;
        }
    }
    Ok(())
}

fn merge_member(document: &mut Object, key: &str, patch: &Value, field: Option<&'static Field>) -> Result<(), Error> {
    match patch {
        Value::Null => {
            document.remove(key);
        }
        Value::Object(patch) => {
            let schema = match field {
                Some(Field { shape: Shape::Single, ty: Type::Message(schema), .. }) => Some(*schema),
                _ => None,
            };
            let member = document.entry(key).or_insert_with(|| Value::Object(Object::new()));
            if !member.is_object() {
                *member = Value::Object(Object::new());
            }
            if let Value::Object(member) = member {
                merge_object(member, patch, schema)?;
            }
        }
        Value::Array(patch) => {
            let merged = merge_list(document.get(key), patch, field)?;
            document.insert(key.to_owned(), Value::Array(merged));
        }
        scalar => {
            document.insert(key.to_owned(), scalar.clone());
        }
    }
    Ok(())
}

fn merge_list(document: Option<&Value>, patch: &[Value], field: Option<&'static Field>) -> Result<Vec<Value>, Error> {
    let old = document.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match field {
        Some(Field { merge_key: Some(key), ty: Type::Message(schema), .. }) => merge_by_key(old, patch, key, schema),
        Some(Field { merge: true, shape: Shape::List, .. }) => {
            let mut merged: Vec<Value> = Vec::new();
            for value in old.iter().chain(patch) {
                if value.is_array() {
                    return Err(Error::bad_request("lists of lists are not supported"));
                }
                if !merged.contains(value) {
                    merged.push(value.clone());
                }
            }
            Ok(element_order::arrange(merged, patch, old, None))
        }
        _ => Ok(patch.to_vec()),
    }
}

/// Merges a list whose elements are told apart by the value of one member.
fn merge_by_key(old: &[Value], patch: &[Value], key: &str, schema: &'static Message) -> Result<Vec<Value>, Error> {
    let mut merged = old.to_vec();
    let mut changes: Vec<&Object> = Vec::new();
    for element in patch {
        let Value::Object(element) = element else {
            return Err(Error::bad_request("invalid JSON document"));
        };
        match directive(element)? {
            Directive::Merge => changes.push(element),
            Directive::Replace => merged.clear(),
            Directive::Delete => {
                let value = key_of(element, key)?;
                merged.retain(|old| old.get(key) != Some(value));
            }
        }
    }
    for change in &changes {
        let value = key_of(change, key)?;
        match merged.iter_mut().find(|element| element.get(key) == Some(value)) {
            Some(Value::Object(element)) => merge_object(element, change, Some(schema))?,
            _ => {
                let mut element = Object::new();
                merge_object(&mut element, change, Some(schema))?;
                merged.push(Value::Object(element));
            }
        }
    }
    let sent: Vec<Value> = changes.into_iter().cloned().map(Value::Object).collect();
    Ok(element_order::arrange(merged, &sent, old, Some(key)))
}

fn key_of<'a>(element: &'a Object, key: &str) -> Result<&'a Value, Error> {
    element.get(key).ok_or_else(|| {
        Error::bad_request(format!("map: {} does not contain declared merge key: {key}", shown(element)))
    })
}

fn retain_keys(document: &mut Object, patch: &Object) -> Result<(), Error> {
    let Some(retained) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let retained = strings(retained).ok_or_else(|| Error::bad_request("invalid patch format of retainKeys"))?;
    if patch.keys().any(|key| !is_directive(key) && !retained.contains(&key.as_str())) {
        return Err(Error::bad_request("patch content doesn't match retainKeys list"));
    }
    document.retain(|key, _| retained.contains(&key.as_str()));
    Ok(())
}

fn delete_values(document: &mut Object, name: &str, values: &Value) -> Result<(), Error> {
    let Value::Array(values) = values else {
        return Err(Error::bad_request("invalid patch format of primitive list"));
    };
    if let Some(Value::Array(list)) = document.get_mut(name) {
        list.retain(|value| !values.contains(value));
    }
    Ok(())
}

/// The lists whose order will be set, as they were.
fn lists_before<'a>(document: &Object, patch: &'a Object) -> Vec<(&'a str, Vec<Value>)> {
    let names = patch.keys().filter_map(|key| key.strip_prefix(ELEMENT_ORDER));
    names.filter_map(|name| Some((name, document.get(name)?.as_array()?.clone()))).collect()
}

fn set_order(
    document: &mut Object,
    name: &str,
    order: &Value,
    sent: &[Value],
    before: &[Value],
    merge_key: Option<&str>,
) -> Result<(), Error> {
    let Value::Array(order) = order else {
        return Err(Error::bad_request("invalid patch format of setElementOrder list"));
    };
    let kept: Vec<&Value> = sent.iter().filter(|element| element.get(PATCH).is_none()).collect();
    if !element_order::agrees(&kept, order, merge_key) {
        return Err(Error::bad_request(format!(
            "The order in patch list:\n{}\n doesn't match {ELEMENT_ORDER}{name} list:\n{}\n",
            Value::Array(kept.into_iter().cloned().collect()),
            Value::Array(order.clone()),
        )));
    }
    if let Some(Value::Array(list)) = document.get_mut(name) {
        *list = element_order::arrange(std::mem::take(list), order, before, merge_key);
    }
    Ok(())
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(DELETE_VALUES) || key.starts_with(ELEMENT_ORDER)
}

fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn shown(object: &Object) -> String {
    serde_json::to_string(object).unwrap_or_default()
}
