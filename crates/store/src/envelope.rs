//! How a value is laid out in the store: Kubernetes' own envelope, plus the cause of the write.
//!
//! ```text
//! 6b 38 73 00   the four bytes "k8s\0"
//! Unknown       k8s.io.apimachinery.pkg.runtime.Unknown, a protobuf message:
//!    1 typeMeta { 1 apiVersion, 2 kind }
//!    2 raw              the object, encoded as protobuf
//!    3 contentEncoding  always empty
//!    4 contentType      always empty: protobuf
//! 50000 cause { 1 traceparent, 2 tracestate, 3 commit_time_unix_nano (fixed64) }
//! ```
//!
//! Kubernetes' programs skip the last field as they skip every field they do not know, so they can read
//! these values. The cause is always the last field: writing appends it, reading cuts it off, and neither
//! touches the object. A value without it, or without an envelope, reads as one whose cause is unknown.
//!
//! This module does not interpret `raw`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, skip_field};
use telemetry::{Cause, TraceContext};

use crate::{Error, Result, Revision};

/// What every envelope begins with.
const MAGIC: &[u8; 4] = b"k8s\0";

/// The shortest value that is an envelope: one around nothing.
pub(crate) const EMPTY: &[u8] = MAGIC;

/// The cause's field number. Protobuf leaves 50000 to 99999 to extensions that stay inside one
/// organisation, so it cannot collide with a field that Kubernetes adds.
const CAUSE_FIELD: u32 = 50_000;

/// The content types that mean "raw is protobuf".
const PROTOBUF: [&str; 2] = ["", "application/vnd.kubernetes.protobuf"];

/// An object as the store keeps it: what it is, and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// For example `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// The object, encoded as protobuf.
    pub raw: Bytes,
}

/// Why a value is not an envelope that can be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    /// The value does not begin with `k8s\0`. JSON, for example, was written by a Kubernetes for a custom resource.
    #[error("the value is not in Kubernetes' storage format: it begins with {0:02x?}, not with \"k8s\\0\"")]
    NotAnEnvelope(Vec<u8>),
    /// What follows is not the message it should be: cut off, or overwritten.
    #[error("the value's envelope is damaged: {0}")]
    Damaged(#[from] prost::DecodeError),
    /// The object inside is compressed, encrypted or not protobuf.
    #[error(
        "the value's envelope holds encoding {encoding:?} and type {media_type:?}; only plain protobuf can be read"
    )]
    Unsupported {
        /// The envelope's contentEncoding.
        encoding: String,
        /// The envelope's contentType.
        media_type: String,
    },
}

impl Envelope {
    /// Encodes the envelope, leaving room for the cause that the store will append.
    pub fn encode(&self) -> Bytes {
        let unknown = Unknown {
            type_meta: Some(TypeMeta { api_version: self.api_version.clone(), kind: self.kind.clone() }),
            raw: self.raw.clone(),
            ..Unknown::default()
        };
        let mut value = BytesMut::with_capacity(MAGIC.len() + unknown.encoded_len());
        value.put_slice(MAGIC);
        unknown.encode(&mut value).expect("the buffer grows, and encoding has no other error");
        value.freeze()
    }

    /// Decodes a value. `raw` is a slice of it: the object's bytes are not copied.
    pub fn decode(value: &Bytes) -> Result<Self, EnvelopeError> {
        if !value.starts_with(MAGIC) {
            let start = &value[..value.len().min(MAGIC.len())];
            return Err(EnvelopeError::NotAnEnvelope(start.to_vec()));
        }
        let unknown = Unknown::decode(value.slice(MAGIC.len()..))?;
        if !unknown.content_encoding.is_empty() || !PROTOBUF.contains(&unknown.content_type.as_str()) {
            return Err(EnvelopeError::Unsupported {
                encoding: unknown.content_encoding,
                media_type: unknown.content_type,
            });
        }
        let TypeMeta { api_version, kind } = unknown.type_meta.unwrap_or_default();
        Ok(Self { api_version, kind, raw: unknown.raw })
    }
}

/// Appends the cause of a write, which makes `value` what is put into the store.
pub(crate) fn seal(value: &[u8], origin: &TraceContext, now: Timestamp) -> Result<Bytes> {
    if !value.starts_with(MAGIC) {
        return Err(Error::Internal("only envelopes can be stored".to_owned()));
    }
    let cause = StoredCause {
        traceparent: origin.traceparent(),
        tracestate: origin.tracestate().to_owned(),
        // Nanoseconds since 1970 fill a u64 until the year 2554.
        commit_time_unix_nano: u64::try_from(now.as_nanosecond()).unwrap_or(0),
    };
    let mut sealed = Vec::with_capacity(value.len() + cause.encoded_len() + 8);
    sealed.put_slice(value);
    encode_key(CAUSE_FIELD, WireType::LengthDelimited, &mut sealed);
    cause.encode_length_delimited(&mut sealed).expect("the buffer grows, and encoding has no other error");
    Ok(sealed.into())
}

/// Undoes [`seal`]: the value as it was written, and its cause. Never fails, see the module's head.
pub(crate) fn open(stored: Bytes, revision: Revision) -> (Bytes, Cause) {
    let mut cause = Cause { revision: revision.get(), ..Cause::default() };
    let Some(end) = end_of_value(&stored) else {
        return (stored, cause);
    };
    let mut tail = &stored[end..];
    let found = decode_key(&mut tail).and_then(|_| StoredCause::decode_length_delimited(tail));
    if let Ok(found) = found {
        cause.context = TraceContext::parse(&found.traceparent, &found.tracestate);
        cause.committed_at = Timestamp::from_nanosecond(found.commit_time_unix_nano.into()).ok();
    }
    (stored.slice(..end), cause)
}

/// Where the cause begins, if the last field is one.
fn end_of_value(stored: &Bytes) -> Option<usize> {
    let mut rest: &[u8] = stored.strip_prefix(MAGIC)?;
    while rest.has_remaining() {
        let start = stored.len() - rest.remaining();
        let (field, wire_type) = decode_key(&mut rest).ok()?;
        if field == CAUSE_FIELD && wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            if length == rest.remaining() {
                return Some(start);
            }
            rest = rest.get(length..)?;
        } else {
            skip_field(wire_type, field, &mut rest, DecodeContext::default()).ok()?;
        }
    }
    None
}

#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "bytes", tag = "2")]
    raw: Bytes,
    #[prost(string, tag = "3")]
    content_encoding: String,
    #[prost(string, tag = "4")]
    content_type: String,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredCause {
    #[prost(string, tag = "1")]
    traceparent: String,
    #[prost(string, tag = "2")]
    tracestate: String,
    #[prost(fixed64, tag = "3")]
    commit_time_unix_nano: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(raw: &[u8]) -> Envelope {
        Envelope { api_version: "apps/v1".to_owned(), kind: "Deployment".to_owned(), raw: Bytes::copy_from_slice(raw) }
    }

    fn origin() -> TraceContext {
        TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=state")
    }

    #[test]
    fn is_laid_out_as_kubernetes_lays_it_out() {
        let value = envelope(b"\x0a\x01x").encode();
        // Written out by hand from the definition of runtime.Unknown.
        let expected = b"k8s\0\x0a\x15\x0a\x07apps/v1\x12\x0aDeployment\x12\x03\x0a\x01x";
        assert_eq!(value.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn reads_what_kubernetes_writes() {
        // Go writes the empty encoding and type, too.
        let value = Bytes::from_static(b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x02hi\x1a\x00\x22\x00");
        let read = Envelope::decode(&value).unwrap();
        assert_eq!((read.api_version.as_str(), read.kind.as_str(), &read.raw[..]), ("v1", "Namespace", &b"hi"[..]));
        assert_eq!(open(value.clone(), Revision::new(7)).0, value);
    }

    #[test]
    fn the_object_is_a_slice_of_the_value() {
        let value = envelope(&[7; 1000]).encode();
        let raw = Envelope::decode(&value).unwrap().raw;
        assert!(value.as_ptr_range().contains(&raw.as_ptr()), "the object was copied");
    }

    #[test]
    fn sealing_and_opening_gives_value_and_cause_back() {
        let now = Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap();
        let value = envelope(b"object").encode();
        let sealed = seal(&value, &origin(), now).unwrap();
        assert_eq!(Envelope::decode(&sealed), Ok(envelope(b"object")), "readers without causes skip the field");
        let (opened, cause) = open(sealed, Revision::new(7));
        assert_eq!(opened, value);
        assert_eq!((cause.context, cause.revision, cause.committed_at), (origin(), 7, Some(now)));
    }

    #[test]
    fn what_is_no_envelope_is_named_and_passed_through() {
        let json = Bytes::from_static(b"{\"kind\":\"Custom\"}");
        assert_eq!(Envelope::decode(&json), Err(EnvelopeError::NotAnEnvelope(b"{\"ki".to_vec())));
        let (opened, cause) = open(json.clone(), Revision::new(7));
        assert_eq!(opened, json);
        assert_eq!((cause.context.is_valid(), cause.revision, cause.committed_at), (false, 7, None));

        let unknown = Unknown { content_encoding: "gzip".to_owned(), ..Unknown::default() };
        let zipped = Bytes::from([MAGIC.as_slice(), &unknown.encode_to_vec()].concat());
        assert!(matches!(Envelope::decode(&zipped), Err(EnvelopeError::Unsupported { .. })));
    }

    proptest! {
        #[test]
        fn any_object_survives(raw: Vec<u8>, api_version: String, kind: String, nanos in 0i64..) {
            let written = Envelope { api_version, kind, raw: raw.into() };
            let value = written.encode();
            prop_assert_eq!(&Envelope::decode(&value).unwrap(), &written);
            let now = Timestamp::from_nanosecond(nanos.into()).unwrap();
            let (opened, cause) = open(seal(&value, &origin(), now).unwrap(), Revision::new(1));
            prop_assert_eq!(opened, value);
            prop_assert_eq!(cause.committed_at, Some(now));
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(garbage: Vec<u8>) {
            let value = Bytes::from([MAGIC.as_slice(), &garbage].concat());
            let _ = Envelope::decode(&value);
            let (opened, _) = open(value.clone(), Revision::new(1));
            prop_assert!(value.starts_with(&opened));
        }

        #[test]
        fn a_damaged_value_is_an_error_and_never_a_panic(position: prop::sample::Index, bit in 0u8..8, cut: bool) {
            let sealed = seal(&envelope(b"object").encode(), &origin(), Timestamp::now()).unwrap();
            let mut damaged = sealed.to_vec();
            let position = position.index(damaged.len());
            damaged[position] ^= 1 << bit;
            if cut {
                damaged.truncate(position);
            }
            let damaged = Bytes::from(damaged);
            let _ = Envelope::decode(&damaged);
            let (opened, _) = open(damaged.clone(), Revision::new(1));
            prop_assert!(damaged.starts_with(&opened));
        }
    }
}
