//! The pure part of apply: a strategic merge patch from three states of an object.
//!
//! Lists whose elements have a key (containers by name, ports by number) are compared element by element, as the schema says; other lists
//! are one value. Quantities are compared by amount, so that a server which writes `1000m` as `1` has not changed anything.
//! <https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md>

use api::json::schema::{Field, Message, Shape, Type};
use api::quantity::Amount;
use api::resource::Quantity;
use serde_json::{Map, Value, json};

/// Fields of which at most one choice is set: what the manifest leaves out of them, when it changes them, must go.
/// (`patchStrategy: retainKeys` in Kubernetes' types.)
const RETAIN_KEYS: [&str; 3] = ["DeploymentStrategy", "Volume", "PodResourceClaim"];

/// What must be sent so that `live` becomes what `wanted` says: additions and changes from `wanted`, and the removal of what `last` has and
/// `wanted` no longer has. `None` if there is nothing to do.
pub(super) fn three_way(schema: &'static Message, last: &Value, wanted: &Value, live: &Value) -> Option<Value> {
    let patch = message(schema, last, wanted, live);
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// A type, as far as the comparison goes on inside of it.
#[derive(Clone, Copy)]
enum Kind {
    Message(&'static Message),
    /// Free keys with values of this type.
    Map(Type),
    /// Elements found by this member.
    Keyed(&'static Message, &'static str),
    /// Scalars, each there or not.
    Set,
    /// One value.
    Whole(Type),
}

fn kind(field: &Field) -> Kind {
    match (field.shape, field.ty, field.merge_key) {
        (Shape::Single, Type::Message(schema), _) => Kind::Message(schema),
        (Shape::Single, ty, _) => Kind::Whole(ty),
        (Shape::Map, ty, _) => Kind::Map(ty),
        (Shape::List, Type::Message(schema), Some(key)) => Kind::Keyed(schema, key),
        (Shape::List, _, None) if field.merge => Kind::Set,
        (Shape::List, ty, _) => Kind::Whole(ty),
    }
}

fn message(schema: &'static Message, last: &Value, wanted: &Value, live: &Value) -> Map<String, Value> {
    let field = |name: &str| match schema.field(name) {
        Some(field) => kind(field),
        // apiVersion and kind.
        None => Kind::Whole(Type::String),
    };
    let mut patch = members(field, last, wanted, live);
    if RETAIN_KEYS.contains(&schema.name) && !patch.is_empty() {
        for name in live.as_object().into_iter().flat_map(Map::keys) {
            if wanted.get(name).is_none() {
                patch.insert(name.clone(), Value::Null);
            }
        }
    }
    patch
}

fn members(field: impl Fn(&str) -> Kind, last: &Value, wanted: &Value, live: &Value) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, wanted) in wanted.as_object().into_iter().flatten() {
        let (last, live) = (last.get(name).unwrap_or(&Value::Null), live.get(name).unwrap_or(&Value::Null));
        put(&mut patch, name, field(name), last, wanted, live);
    }
    for name in last.as_object().into_iter().flat_map(Map::keys) {
        if wanted.get(name).is_none() && live.get(name).is_some_and(|live| !live.is_null()) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    patch
}

/// Adds to the patch what one field needs.
fn put(patch: &mut Map<String, Value>, name: &str, kind: Kind, last: &Value, wanted: &Value, live: &Value) {
    if wanted.is_null() {
        // An explicit null removes what others have set.
        if !live.is_null() {
            patch.insert(name.to_owned(), Value::Null);
        }
        return;
    }
    if live.is_null() {
        if !is_empty(wanted) {
            patch.insert(name.to_owned(), wanted.clone());
        }
        return;
    }
    let inner = match kind {
        Kind::Message(schema) => message(schema, last, wanted, live),
        Kind::Map(ty) => members(|_| Kind::Whole(ty), last, wanted, live),
        Kind::Keyed(schema, key) => return keyed(patch, name, (schema, key), last, wanted, live),
        Kind::Set => return set(patch, name, last, wanted, live),
        Kind::Whole(ty) => {
            if !same(ty, last, wanted, live) {
                patch.insert(name.to_owned(), wanted.clone());
            }
            return;
        }
    };
    if !inner.is_empty() {
        patch.insert(name.to_owned(), Value::Object(inner));
    }
}

fn keyed(
    patch: &mut Map<String, Value>,
    name: &str,
    (schema, key): (&'static Message, &str),
    last: &Value,
    wanted: &Value,
    live: &Value,
) {
    let (last, wanted, live) = (items(last), items(wanted), items(live));
    if has_twins(wanted, key) || has_twins(live, key) {
        // The key does not tell the elements apart (one port for TCP and UDP): the list can only be replaced as a whole.
        let equal = wanted.len() == live.len()
            && wanted.iter().zip(live).all(|(wanted, live)| message(schema, &Value::Null, wanted, live).is_empty());
        if !equal {
            let mut whole = wanted.to_vec();
            whole.push(json!({ "$patch": "replace" }));
            patch.insert(name.to_owned(), Value::Array(whole));
        }
        return;
    }
    let find = |list: &'_ [Value], item: &Value| list.iter().find(|other| other.get(key) == item.get(key)).cloned();
    let mut changes = Vec::new();
    for item in wanted {
        let Some(live) = find(live, item) else {
            changes.push(item.clone());
            continue;
        };
        let mut change = message(schema, &find(last, item).unwrap_or_default(), item, &live);
        if !change.is_empty() {
            change.insert(key.to_owned(), item.get(key).cloned().unwrap_or_default());
            changes.push(Value::Object(change));
        }
    }
    for gone in last.iter().filter(|item| find(wanted, item).is_none() && find(live, item).is_some()) {
        changes.push(json!({ "$patch": "delete", key: gone.get(key) }));
    }
    let order = |list: &[Value]| -> Vec<Value> {
        list.iter().filter(|item| find(wanted, item).is_some()).filter_map(|item| item.get(key).cloned()).collect()
    };
    let new_order = order(wanted);
    if !changes.is_empty() || order(live) != new_order {
        let order: Vec<Value> = new_order.into_iter().map(|value| json!({ key: value })).collect();
        patch.insert(format!("$setElementOrder/{name}"), Value::Array(order));
    }
    if !changes.is_empty() {
        patch.insert(name.to_owned(), Value::Array(changes));
    }
}

fn has_twins(list: &[Value], key: &str) -> bool {
    list.iter().enumerate().any(|(index, item)| list[..index].iter().any(|other| other.get(key) == item.get(key)))
}

fn set(patch: &mut Map<String, Value>, name: &str, last: &Value, wanted: &Value, live: &Value) {
    let (last, wanted, live) = (items(last), items(wanted), items(live));
    let added: Vec<Value> = wanted.iter().filter(|value| !live.contains(value)).cloned().collect();
    let gone: Vec<Value> =
        last.iter().filter(|value| !wanted.contains(value) && live.contains(value)).cloned().collect();
    if !added.is_empty() {
        patch.insert(name.to_owned(), Value::Array(added));
    }
    if !gone.is_empty() {
        patch.insert(format!("$deleteFromPrimitiveList/{name}"), Value::Array(gone));
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether both mean the same, whatever way they are written, and whatever the server has filled in.
fn same(ty: Type, last: &Value, wanted: &Value, live: &Value) -> bool {
    if wanted == live {
        return true;
    }
    match (ty, wanted, live) {
        (Type::Quantity, wanted, live) => amount(wanted).is_some_and(|wanted| amount(live) == Some(wanted)),
        (Type::Time | Type::MicroTime, Value::String(wanted), Value::String(live)) => {
            let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
            time(wanted).is_some_and(|wanted| time(live) == Some(wanted))
        }
        (Type::Message(schema), Value::Object(_), Value::Object(_)) => message(schema, last, wanted, live).is_empty(),
        (ty, Value::Array(wanted), Value::Array(live)) => {
            let last = |index: usize| last.get(index).unwrap_or(&Value::Null);
            let pairs = wanted.iter().zip(live).enumerate();
            wanted.len() == live.len() && { pairs }.all(|(index, (wanted, live))| same(ty, last(index), wanted, live))
        }
        _ => false,
    }
}

fn amount(value: &Value) -> Option<Amount> {
    let quantity: Quantity = serde_json::from_value(value.clone()).ok()?;
    quantity.amount().ok()
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
