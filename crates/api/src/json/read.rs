//! How members are read. `null` is the same as absent. Unknown members are skipped; [`super::decode`] is where they are reported.

use super::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

pub(crate) fn object<'de, T: Fields, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Fields> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", T::SCHEMA.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if !object.read(&key, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(object)
    }
}

pub(crate) fn value<'de, A: MapAccess<'de>, T: Deserialize<'de> + Default>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

pub(crate) fn base64<'de, A: MapAccess<'de>, T: FromBase64>(map: &mut A) -> Result<T, A::Error> {
    match map.next_value::<Option<T::Encoded>>()? {
        Some(encoded) => T::decoded(encoded).map_err(|e| A::Error::custom(format_args!("not base64: {e}"))),
        None => Ok(T::default()),
    }
}

/// The way back of `write::Base64`.
pub(crate) trait FromBase64: Default {
    type Encoded: for<'de> Deserialize<'de>;
    fn decoded(encoded: Self::Encoded) -> Result<Self, base64::DecodeError>;
}

impl FromBase64 for Vec<u8> {
    type Encoded = String;
    fn decoded(encoded: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(encoded)
    }
}

impl FromBase64 for Option<Vec<u8>> {
    type Encoded = String;
    fn decoded(encoded: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(encoded).map(Some)
    }
}

impl FromBase64 for BTreeMap<String, Vec<u8>> {
    type Encoded = BTreeMap<String, Option<String>>;
    fn decoded(encoded: Self::Encoded) -> Result<Self, base64::DecodeError> {
        encoded.into_iter().map(|(key, text)| Ok((key, STANDARD.decode(text.unwrap_or_default())?))).collect()
    }
}
