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
pub(crate) fn seal(value: &[u8], origin: &TraceContext, now: Timestamp) -> Result<Vec<u8>> {
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
    Ok(sealed)
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
