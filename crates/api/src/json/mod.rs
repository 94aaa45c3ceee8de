//! Kubernetes' JSON form of the API objects.
//!
//! [`Fields`] is what the build script generates for each message; [`write`] and [`read`] are the rules it is made of (when a field is left
//! out, what `null` means), [`mod@scalars`] the messages that JSON writes as one value. [`mod@decode`] checks a document against the [`schema`] tables
//! and then reads it, so that an error names the field.

pub mod decode;
pub(crate) mod read;
mod scalars;
pub mod schema;
pub(crate) mod write;

pub use decode::{FieldValidation, decode, documents};

use serde::de::MapAccess;
use serde::ser::SerializeMap;

/// The members of a message in JSON. Members of inlined messages belong to their parent.
pub trait Fields: Default {
    /// The message's members and their types.
    const SCHEMA: &'static schema::Message;

    /// Writes all members that are to be shown.
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;

    /// Takes the value of one member from `map`; false, and nothing taken, if there is no such member.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}
