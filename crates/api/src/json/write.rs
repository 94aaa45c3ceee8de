//! What is written, and what is left out.
//!
//! Go's rules: a member marked `omitempty` is left out when it is empty or zero, a struct held by value never is, a nil pointer always is.

use super::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;

pub(crate) fn object<T: Fields, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    value.write(&mut map)?;
    map.end()
}

/// `apiVersion` and `kind`, which lead an object.
pub(crate) fn type_meta<M: SerializeMap>(map: &mut M, api_version: &str, kind: &str) -> Result<(), M::Error> {
    map.serialize_entry("apiVersion", api_version)?;
    map.serialize_entry("kind", kind)
}

pub(crate) fn always<M: SerializeMap, T: Serialize>(map: &mut M, key: &str, value: &T) -> Result<(), M::Error> {
    map.serialize_entry(key, value)
}

pub(crate) fn unless_empty<M: SerializeMap, T: Serialize + Empty>(
    map: &mut M,
    key: &str,
    value: &T,
) -> Result<(), M::Error> {
    if value.is_empty() { Ok(()) } else { map.serialize_entry(key, value) }
}

/// A time: on the wire an empty message and no message both mean "not set".
pub(crate) fn unless_zero<M, T>(map: &mut M, key: &str, value: &Option<T>) -> Result<(), M::Error>
where
    M: SerializeMap,
    T: Serialize + Default + PartialEq,
{
    if value.as_ref().is_none_or(|time| *time == T::default()) { Ok(()) } else { map.serialize_entry(key, value) }
}

pub(crate) fn base64_unless_empty<M: SerializeMap, T: Base64 + Empty>(
    map: &mut M,
    key: &str,
    value: &T,
) -> Result<(), M::Error> {
    if value.is_empty() { Ok(()) } else { map.serialize_entry(key, &value.encoded()) }
}

/// Whether Go's `omitempty` leaves a value out.
pub(crate) trait Empty {
    fn is_empty(&self) -> bool;
}

impl Empty for String {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for bool {
    fn is_empty(&self) -> bool {
        !self
    }
}

impl Empty for i32 {
    fn is_empty(&self) -> bool {
        *self == 0
    }
}

impl Empty for i64 {
    fn is_empty(&self) -> bool {
        *self == 0
    }
}

impl<T> Empty for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Empty for BTreeMap<String, T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for crate::resource::Quantity {
    fn is_empty(&self) -> bool {
        self.string.is_empty()
    }
}

impl<T> Empty for Option<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// Bytes, alone or in a map, which JSON carries as base64.
pub(crate) trait Base64 {
    type Encoded: Serialize;
    fn encoded(&self) -> Self::Encoded;
}

impl Base64 for Vec<u8> {
    type Encoded = String;
    fn encoded(&self) -> String {
        STANDARD.encode(self)
    }
}

impl Base64 for Option<Vec<u8>> {
    type Encoded = Option<String>;
    fn encoded(&self) -> Option<String> {
        self.as_ref().map(|bytes| STANDARD.encode(bytes))
    }
}

impl Base64 for BTreeMap<String, Vec<u8>> {
    type Encoded = BTreeMap<String, String>;
    fn encoded(&self) -> BTreeMap<String, String> {
        self.iter().map(|(key, bytes)| (key.clone(), STANDARD.encode(bytes))).collect()
    }
}
