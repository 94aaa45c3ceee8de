//! Objects of any kind, with any of their fields set, made from the schema tables.

use api::Resource;
use api::json::schema::{Field, Message, Shape, Type};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use serde_json::{Map, Value, json};

/// Below this depth no optional message is set, so that objects stay of a size to look at.
const DEPTH: u32 = 6;

/// JSON objects of kind `K`.
pub(crate) fn object<K: Resource>() -> impl Strategy<Value = Value> {
    Just(()).prop_perturb(|(), mut rng| {
        let mut object = message(K::SCHEMA, &mut rng, 0);
        object.insert("apiVersion".to_owned(), json!(K::INFO.api_version()));
        object.insert("kind".to_owned(), json!(K::INFO.kind));
        Value::Object(object)
    })
}

fn message(schema: &'static Message, rng: &mut TestRng, depth: u32) -> Map<String, Value> {
    let mut members = Map::new();
    for field in schema.fields {
        match field.ty {
            Type::Message(inner) if field.inline => members.extend(message(inner, rng, depth)),
            // Kubernetes requires these; `k8s-openapi` cannot leave them out.
            Type::Message(_) | Type::Time | Type::MicroTime if field.always && field.shape == Shape::Single => {
                members.insert(field.json.to_owned(), value_of(field, rng, depth));
            }
            _ if depth < DEPTH && rng.random_ratio(1, 2 + depth) => {
                members.insert(field.json.to_owned(), value_of(field, rng, depth));
            }
            _ => {}
        }
    }
    members
}

fn value_of(field: &'static Field, rng: &mut TestRng, depth: u32) -> Value {
    let size = 1 + rng.random_range(0..2);
    match field.shape {
        Shape::Single => value(field.ty, rng, depth),
        Shape::List => (0..size).map(|_| value(field.ty, rng, depth)).collect(),
        Shape::Map => (0..size).map(|_| (word(rng), value(field.ty, rng, depth))).collect::<Map<_, _>>().into(),
    }
}

fn value(ty: Type, rng: &mut TestRng, depth: u32) -> Value {
    let moment = jiff::Timestamp::from_second(rng.random_range(1..4_000_000_000)).expect("in range");
    match ty {
        Type::String => json!(word(rng)),
        Type::Bool => json!(rng.random::<bool>()),
        Type::Int32 => json!(rng.random::<i32>()),
        Type::Int64 => json!(rng.random::<i64>()),
        Type::Bytes => json!(["", "AA==", "aGVsbG8="][rng.random_range(1..3)]),
        Type::Time => json!(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        Type::MicroTime => json!(moment.strftime("%Y-%m-%dT%H:%M:%S.123456Z").to_string()),
        Type::Quantity => json!(["1", "100m", "64Mi", "-3", "1e3", "0"][rng.random_range(0..6)]),
        Type::IntOrString if rng.random() => json!(rng.random::<i32>()),
        Type::IntOrString => json!("25%"),
        Type::Any => json!({ "f:metadata": { word(rng): {} } }),
        Type::Message(schema) => message(schema, rng, depth + 1).into(),
    }
}

fn word(rng: &mut TestRng) -> String {
    (0..rng.random_range(1..6)).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect()
}
