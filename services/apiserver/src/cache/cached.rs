//! One object as the cache keeps it: encoded, with what selectors ask for beside it.
//!
//! Objects are kept as bytes because that is how nearly all of them leave again: in answers and in watch events. `resourceVersion` is not
//! stored with an object (the store's revision is the truth), so it is added here by appending a second occurrence of the field
//! `metadata` that carries nothing else. Protobuf merges the two when it decodes
//! (<https://protobuf.dev/programming-guides/encoding/#last-one-wins>), and so nothing is ever encoded again.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Resource;
use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use store::Revision;
use telemetry::Cause;

use super::layout::Selectable;

/// An object at one revision.
#[derive(Debug)]
pub struct Cached {
    /// The store's key.
    pub key: Arc<str>,
    /// The encoded object with its `resourceVersion`.
    pub encoded: Bytes,
    /// How much of `encoded` is what the store holds; the rest is the `resourceVersion`.
    stored: usize,
    /// The revision of its last write.
    pub revision: Revision,
    /// Who made that write.
    pub cause: Cause,
    /// Where in the key the namespace (or, for cluster-wide kinds, the name) begins.
    below_prefix: usize,
    labels: BTreeMap<String, String>,
    fields: Box<[(&'static str, String)]>,
}

impl Cached {
    /// Takes an object from the store. `encoded` is what the store holds, `stored` bytes of it, and the `resourceVersion`.
    pub(crate) fn new(
        key: Arc<str>,
        prefix: &str,
        (encoded, stored): (Bytes, usize),
        revision: Revision,
        cause: Cause,
        selectable: Selectable,
    ) -> Self {
        let Selectable { labels, fields } = selectable;
        Self { key, encoded, stored, revision, cause, below_prefix: prefix.len(), labels, fields: fields.into() }
    }

    /// The object as it is stored, without `resourceVersion`.
    pub fn raw(&self) -> Bytes {
        self.encoded.slice(..self.stored)
    }

    /// The object. `K` must be the kind of the cache that this comes from.
    pub fn decode<K: Resource>(&self) -> K {
        K::decode(self.encoded.clone()).expect("the cache decoded it once to find its labels")
    }

    /// The object's namespace; empty for cluster-wide kinds.
    pub fn namespace(&self) -> &str {
        self.key[self.below_prefix..].split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        let below = &self.key[self.below_prefix..];
        below.split_once('/').map_or(below, |(_, name)| name)
    }

    /// The object's labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The value of a selectable field; empty if it is unset or no such field.
    pub fn field(&self, path: &str) -> &str {
        match path {
            "metadata.name" => self.name(),
            "metadata.namespace" => self.namespace(),
            _ => self.fields.iter().find(|(known, _)| *known == path).map_or("", |(_, value)| value),
        }
    }
}

/// `raw` followed by `metadata { resourceVersion }`.
pub(crate) fn with_resource_version(raw: &[u8], revision: Revision) -> Bytes {
    let mut message = BytesMut::with_capacity(raw.len() + MAX_SUFFIX);
    message.put_slice(raw);
    message.put_slice(&resource_version(revision));
    message.freeze()
}

/// `metadata { resourceVersion }`: behind an encoded object it replaces any `resourceVersion` that this has.
pub(crate) fn resource_version(revision: Revision) -> Vec<u8> {
    let text = revision.to_string();
    let inner = key_len(RESOURCE_VERSION) + encoded_len_varint(text.len() as u64) + text.len();
    let mut suffix = Vec::with_capacity(MAX_SUFFIX);
    encode_key(METADATA, WireType::LengthDelimited, &mut suffix);
    encode_varint(inner as u64, &mut suffix);
    encode_key(RESOURCE_VERSION, WireType::LengthDelimited, &mut suffix);
    encode_varint(text.len() as u64, &mut suffix);
    suffix.extend_from_slice(text.as_bytes());
    suffix
}

/// The field `metadata` of every kind; a test holds them to it.
const METADATA: u32 = 1;
/// The field `resourceVersion` of `ObjectMeta`.
const RESOURCE_VERSION: u32 = 6;
/// Two keys, two lengths, and at most 19 digits.
const MAX_SUFFIX: usize = 23;

#[cfg(test)]
mod tests {
    use super::*;
    use api::{KindInfo, KindVisitor};

    struct ReadsItsRevision;

    impl KindVisitor for ReadsItsRevision {
        type Output = (String, String);

        fn visit<K: Resource>(self) -> (String, String) {
            let mut object = K::default();
            object.metadata_mut().name = "x".to_owned();
            let twice = with_resource_version(
                &with_resource_version(&object.encode_to_vec(), Revision::new(7)),
                Revision::new(i64::MAX),
            );
            let metadata = K::decode(twice).unwrap().metadata().clone();
            (metadata.name, metadata.resource_version)
        }
    }

    #[test]
    fn every_kind_reads_the_revision_that_was_appended_last() {
        for kind in api::KINDS {
            let kind: &KindInfo = kind;
            let read = api::visit_kind(kind, ReadsItsRevision).unwrap();
            assert_eq!(read, ("x".to_owned(), i64::MAX.to_string()), "{}", kind.kind);
        }
    }

    #[test]
    fn the_suffix_is_no_longer_than_reserved() {
        assert_eq!(with_resource_version(b"", Revision::new(i64::MAX)).len(), MAX_SUFFIX);
    }
}
