//! The text form of attribute values. A query names values as text, so both sides of a comparison pass through here.
//!
//! The forms are those of the OpenTelemetry Collector, on which Jaeger stands: a query means the same to both.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use serde_json::Value as Json;

/// The value as text: strings as they are, numbers and booleans as in JSON, bytes as base64, lists and maps as compact JSON.
pub(crate) fn text(value: &AnyValue) -> Cow<'_, str> {
    match &value.value {
        Some(Value::StringValue(text)) => Cow::Borrowed(text),
        Some(Value::BoolValue(true)) => Cow::Borrowed("true"),
        Some(Value::BoolValue(false)) => Cow::Borrowed("false"),
        Some(Value::IntValue(number)) => Cow::Owned(number.to_string()),
        Some(Value::DoubleValue(number)) => Cow::Owned(double(*number)),
        Some(Value::BytesValue(bytes)) => Cow::Owned(STANDARD.encode(bytes)),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => Cow::Owned(json(value).to_string()),
        // Indices into the string table of the profiling signal: nothing in a trace.
        Some(Value::StringValueStrindex(_)) | None => Cow::Borrowed(""),
    }
}

/// Plain decimals, except for very small and very large numbers: `1e-7`, `1e+21`.
fn double(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() || size == 0.0 || (1e-6..1e21).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

fn json(value: &AnyValue) -> Json {
    match &value.value {
        Some(Value::ArrayValue(list)) => list.values.iter().map(json).collect(),
        // Sorted by key, so that one map has one text.
        Some(Value::KvlistValue(map)) => {
            let sorted: BTreeMap<_, _> = map
                .values
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.as_ref().map_or(Json::Null, json)))
                .collect();
            sorted.into_iter().collect()
        }
        Some(Value::BoolValue(value)) => Json::Bool(*value),
        Some(Value::IntValue(number)) => Json::from(*number),
        Some(Value::DoubleValue(number)) => Json::from(*number),
        Some(_) => Json::String(text(value).into_owned()),
        None => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue, KeyValueList};

    use super::*;

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    #[test]
    fn every_value_has_one_text() {
        let entry = |key: &str, value| KeyValue { key: key.into(), value: Some(any(value)), ..Default::default() };
        let list = ArrayValue { values: vec![any(Value::IntValue(1)), any(Value::StringValue("a".into()))] };
        let map =
            KeyValueList { values: vec![entry("z", Value::BoolValue(true)), entry("a", Value::DoubleValue(0.5))] };
        let table = [
            (any(Value::StringValue("web".into())), "web"),
            (any(Value::BoolValue(false)), "false"),
            (any(Value::IntValue(-7)), "-7"),
            (any(Value::DoubleValue(0.25)), "0.25"),
            (any(Value::DoubleValue(3.0)), "3"),
            (any(Value::DoubleValue(1e21)), "1e+21"),
            (any(Value::DoubleValue(2.5e-7)), "2.5e-7"),
            (any(Value::BytesValue(vec![0xff, 0x00])), "/wA="),
            (any(Value::ArrayValue(list)), r#"[1,"a"]"#),
            (any(Value::KvlistValue(map)), r#"{"a":0.5,"z":true}"#),
            (AnyValue::default(), ""),
        ];
        for (value, expected) in table {
            assert_eq!(text(&value), expected);
        }
    }
}
