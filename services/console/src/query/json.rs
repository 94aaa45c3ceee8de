//! Traces as OTLP's JSON, to the letter of what Jaeger answers: camelCase, ids in hexadecimal, 64-bit numbers as text, enums as
//! numbers, bytes as base64, and nothing for a field that has its default.
//!
//! The serde forms of `opentelemetry-proto` read this JSON, but write every default (`"traceState":""`, `"links":[]`), which makes
//! an answer half as large again.

use std::fmt::Display;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link},
    },
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// An OTLP message that serializes as Jaeger writes it.
pub(crate) struct Otlp<'a, T>(pub(crate) &'a T);

/// A list of such messages.
struct List<'a, T>(&'a [T]);

/// Whether a field has its protobuf default. (`serde` wants this shape.)
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serializes a number as text, as protobuf's JSON does with 64-bit numbers.
pub(crate) fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl<'a, T> Serialize for List<'a, T>
where
    Otlp<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for message in self.0 {
            list.serialize_element(&Otlp(message))?;
        }
        list.end()
    }
}

/// Writes the fields of a message that do not have their defaults.
struct Fields<M>(M);

impl<M: SerializeMap> Fields<M> {
    fn value<T: Serialize + Default + PartialEq>(&mut self, name: &'static str, value: &T) -> Result<(), M::Error> {
        if is_default(value) {
            return Ok(());
        }
        self.0.serialize_entry(name, value)
    }

    fn as_text<T: Display + Default + PartialEq>(&mut self, name: &'static str, value: &T) -> Result<(), M::Error> {
        if is_default(value) {
            return Ok(());
        }
        self.0.serialize_entry(name, &value.to_string())
    }

    fn id(&mut self, name: &'static str, id: &[u8]) -> Result<(), M::Error> {
        if id.is_empty() {
            return Ok(());
        }
        self.0.serialize_entry(name, &hex(id))
    }

    fn list<'a, T>(&mut self, name: &'static str, list: &'a [T]) -> Result<(), M::Error>
    where
        Otlp<'a, T>: Serialize,
    {
        if list.is_empty() {
            return Ok(());
        }
        self.0.serialize_entry(name, &List(list))
    }

    /// A message that is written even when it is empty.
    fn message<'a, T>(&mut self, name: &'static str, message: &'a T) -> Result<(), M::Error>
    where
        Otlp<'a, T>: Serialize,
    {
        self.0.serialize_entry(name, &Otlp(message))
    }
}

/// Implements [`Serialize`] for a message by a list of its fields.
macro_rules! message {
    ($type:ty, |$message:ident, $fields:ident| $body:block) => {
        impl Serialize for Otlp<'_, $type> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $message = self.0;
                let mut $fields = Fields(serializer.serialize_map(None)?);
                $body
                $fields.0.end()
            }
        }
    };
}

message!(ResourceSpans, |spans, fields| {
    let resource = spans.resource.clone().unwrap_or_default();
    fields.message("resource", &resource)?;
    fields.list("scopeSpans", &spans.scope_spans)?;
    fields.value("schemaUrl", &spans.schema_url)?;
});

message!(Resource, |resource, fields| {
    fields.list("attributes", &resource.attributes)?;
    fields.value("droppedAttributesCount", &resource.dropped_attributes_count)?;
    fields.list("entityRefs", &resource.entity_refs)?;
});

message!(EntityRef, |entity, fields| {
    fields.value("schemaUrl", &entity.schema_url)?;
    fields.value("type", &entity.r#type)?;
    fields.value("idKeys", &entity.id_keys)?;
    fields.value("descriptionKeys", &entity.description_keys)?;
});

message!(ScopeSpans, |spans, fields| {
    let scope = spans.scope.clone().unwrap_or_default();
    fields.message("scope", &scope)?;
    fields.list("spans", &spans.spans)?;
    fields.value("schemaUrl", &spans.schema_url)?;
});

message!(InstrumentationScope, |scope, fields| {
    fields.value("name", &scope.name)?;
    fields.value("version", &scope.version)?;
    fields.list("attributes", &scope.attributes)?;
    fields.value("droppedAttributesCount", &scope.dropped_attributes_count)?;
});

message!(Span, |span, fields| {
    fields.id("traceId", &span.trace_id)?;
    fields.id("spanId", &span.span_id)?;
    fields.value("traceState", &span.trace_state)?;
    fields.id("parentSpanId", &span.parent_span_id)?;
    fields.value("flags", &span.flags)?;
    fields.value("name", &span.name)?;
    fields.value("kind", &span.kind)?;
    fields.as_text("startTimeUnixNano", &span.start_time_unix_nano)?;
    fields.as_text("endTimeUnixNano", &span.end_time_unix_nano)?;
    fields.list("attributes", &span.attributes)?;
    fields.value("droppedAttributesCount", &span.dropped_attributes_count)?;
    fields.list("events", &span.events)?;
    fields.value("droppedEventsCount", &span.dropped_events_count)?;
    fields.list("links", &span.links)?;
    fields.value("droppedLinksCount", &span.dropped_links_count)?;
    let status = span.status.clone().unwrap_or_default();
    fields.message("status", &status)?;
});

message!(Event, |event, fields| {
    fields.as_text("timeUnixNano", &event.time_unix_nano)?;
    fields.value("name", &event.name)?;
    fields.list("attributes", &event.attributes)?;
    fields.value("droppedAttributesCount", &event.dropped_attributes_count)?;
});

message!(Link, |link, fields| {
    fields.id("traceId", &link.trace_id)?;
    fields.id("spanId", &link.span_id)?;
    fields.value("traceState", &link.trace_state)?;
    fields.list("attributes", &link.attributes)?;
    fields.value("droppedAttributesCount", &link.dropped_attributes_count)?;
    fields.value("flags", &link.flags)?;
});

message!(Status, |status, fields| {
    fields.value("message", &status.message)?;
    fields.value("code", &status.code)?;
});

message!(KeyValue, |attribute, fields| {
    fields.value("key", &attribute.key)?;
    let value = attribute.value.as_ref().unwrap_or(&EMPTY);
    fields.message("value", value)?;
});

const EMPTY: AnyValue = AnyValue { value: None };

message!(AnyValue, |any, fields| {
    match &any.value {
        Some(Value::StringValue(text)) => fields.0.serialize_entry("stringValue", text)?,
        Some(Value::BoolValue(value)) => fields.0.serialize_entry("boolValue", value)?,
        Some(Value::IntValue(number)) => fields.0.serialize_entry("intValue", &number.to_string())?,
        Some(Value::DoubleValue(number)) => match number {
            // JSON has no words for these.
            _ if number.is_nan() => fields.0.serialize_entry("doubleValue", "NaN")?,
            _ if *number == f64::INFINITY => fields.0.serialize_entry("doubleValue", "Infinity")?,
            _ if *number == f64::NEG_INFINITY => fields.0.serialize_entry("doubleValue", "-Infinity")?,
            _ => fields.0.serialize_entry("doubleValue", number)?,
        },
        Some(Value::ArrayValue(array)) => fields.0.serialize_entry("arrayValue", &Values(&array.values))?,
        Some(Value::KvlistValue(map)) => fields.0.serialize_entry("kvlistValue", &Values(&map.values))?,
        Some(Value::BytesValue(bytes)) => fields.0.serialize_entry("bytesValue", &STANDARD.encode(bytes))?,
        Some(Value::StringValueStrindex(_)) | None => {}
    }
});

/// The one field of a list value and of a map value.
struct Values<'a, T>(&'a [T]);

impl<'a, T> Serialize for Values<'a, T>
where
    Otlp<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields(serializer.serialize_map(None)?);
        fields.list("values", self.0)?;
        fields.0.end()
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
