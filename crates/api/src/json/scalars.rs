//! Messages that JSON writes as one value: times, quantities, integers or strings, and raw JSON.

use crate::intstr::IntOrString;
use crate::meta::v1::{FieldsV1, MicroTime, Time};
use crate::resource::Quantity;
use crate::runtime::RawExtension;
use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// Go's zero time and the epoch are the same on the wire; both mean "not set".
impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Timestamp::new(self.seconds, 0) {
            Ok(time) if self.seconds != 0 => serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%SZ")),
            _ => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time: Timestamp = timestamp(deserializer)?;
        Ok(Time { seconds: time.as_second(), nanos: 0 })
    }
}

impl Serialize for MicroTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Timestamp::new(self.seconds, self.nanos) {
            Ok(time) if self.seconds != 0 || self.nanos != 0 => {
                serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
            }
            _ => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for MicroTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time: Timestamp = timestamp(deserializer)?;
        Ok(MicroTime { seconds: time.as_second(), nanos: time.subsec_nanosecond() / 1000 * 1000 })
    }
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom(format_args!("{text:?} is not a time like 2006-01-02T15:04:05Z")))
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.string)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;
        impl Visitor<'_> for QuantityVisitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity like \"500m\" or \"1Gi\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text.trim()).map_err(E::custom)
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(QuantityVisitor)
    }
}

/// Which of an [`IntOrString`]'s two values counts.
const INT: i64 = 0;
const STRING: i64 = 1;

impl From<i32> for IntOrString {
    fn from(value: i32) -> Self {
        IntOrString { r#type: INT, int_val: value, str_val: String::new() }
    }
}

impl From<&str> for IntOrString {
    fn from(value: &str) -> Self {
        IntOrString { r#type: STRING, int_val: 0, str_val: value.to_owned() }
    }
}

impl IntOrString {
    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        (self.r#type == STRING).then_some(self.str_val.as_str())
    }

    /// The number, if it is a number.
    pub fn as_int(&self) -> Option<i32> {
        (self.r#type != STRING).then_some(self.int_val)
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => f.write_str(text),
            None => write!(f, "{}", self.int_val),
        }
    }
}

impl Serialize for IntOrString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_i32(self.int_val),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntOrStringVisitor;
        impl Visitor<'_> for IntOrStringVisitor {
            type Value = IntOrString;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<IntOrString, E> {
                Ok(text.into())
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<IntOrString, E> {
                i32::try_from(number)
                    .map(Into::into)
                    .map_err(|_| E::custom(format_args!("{number} does not fit into 32 bits")))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<IntOrString, E> {
                i32::try_from(number)
                    .map(Into::into)
                    .map_err(|_| E::custom(format_args!("{number} does not fit into 32 bits")))
            }
        }
        deserializer.deserialize_any(IntOrStringVisitor)
    }
}

impl Serialize for FieldsV1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw_json(&self.raw, serializer)
    }
}

impl<'de> Deserialize<'de> for FieldsV1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(FieldsV1 { raw: serde_json::Value::deserialize(deserializer)?.to_string().into_bytes() })
    }
}

impl Serialize for RawExtension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw_json(&self.raw, serializer)
    }
}

impl<'de> Deserialize<'de> for RawExtension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(RawExtension { raw: serde_json::Value::deserialize(deserializer)?.to_string().into_bytes() })
    }
}

fn raw_json<S: Serializer>(raw: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_slice::<serde_json::Value>(raw) {
        Ok(value) => value.serialize(serializer),
        Err(_) => serializer.serialize_none(),
    }
}

/// Now and then: the two time types of the API and the wall clock. `Time` keeps seconds, `MicroTime` microseconds.
impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Time { seconds: time.as_second(), nanos: 0 }
    }
}

impl From<Timestamp> for MicroTime {
    fn from(time: Timestamp) -> Self {
        MicroTime { seconds: time.as_second(), nanos: time.subsec_nanosecond() / 1000 * 1000 }
    }
}

impl Time {
    /// The moment; `None` for a time that is not set.
    pub fn timestamp(&self) -> Option<Timestamp> {
        (self.seconds != 0).then(|| Timestamp::new(self.seconds, self.nanos).ok()).flatten()
    }
}

impl MicroTime {
    /// The moment; `None` for a time that is not set.
    pub fn timestamp(&self) -> Option<Timestamp> {
        (self.seconds != 0 || self.nanos != 0).then(|| Timestamp::new(self.seconds, self.nanos).ok()).flatten()
    }
}
