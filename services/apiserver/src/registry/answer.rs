//! What the registry answers: objects in the form in which they travel.
//!
//! The cache keeps objects encoded, and most answers only pass those bytes on. Who needs the object itself decodes it.

use std::marker::PhantomData;
use std::sync::Arc;

use api::Resource;
use api::meta::v1::ListMeta;
use bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::cache::Cached;

/// An object of kind `K`, encoded as protobuf, with its `resourceVersion`.
pub struct Encoded<K> {
    bytes: Bytes,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource> Encoded<K> {
    /// Trusts that the bytes are a `K`: they come from the cache or from an encoder.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, kind: PhantomData }
    }

    /// The message's bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The object.
    pub fn decode(&self) -> K {
        K::decode(self.bytes.clone()).expect("the bytes were decoded or encoded as this kind before")
    }
}

impl<K> Clone for Encoded<K> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), kind: PhantomData }
    }
}

impl<K> std::fmt::Debug for Encoded<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoded({} bytes)", self.bytes.len())
    }
}

/// The answer to a delete.
#[derive(Clone, Debug)]
pub struct Deleted<K> {
    /// The object as the call left it, or as it last was.
    pub object: Encoded<K>,
    /// True if it is gone, false if it goes on to exist for a while: terminating, or held by a finalizer.
    pub removed: bool,
}

/// The answer to a list: a page of objects at one revision.
pub struct ListAnswer<K> {
    /// Revision, continue token and how much is left.
    pub metadata: ListMeta,
    /// In the order of namespace and name.
    pub items: Vec<Arc<Cached>>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource> ListAnswer<K> {
    pub(crate) fn new(metadata: ListMeta, items: Vec<Arc<Cached>>) -> Self {
        Self { metadata, items, kind: PhantomData }
    }

    /// The encoded `api::rpc::List<K>`, put together from the objects' bytes.
    pub fn encode(&self) -> Bytes {
        let metadata = self.metadata.encoded_len();
        let items: usize = self.items.iter().map(|item| item.encoded.len() + MAX_HEADER).sum();
        let mut message = BytesMut::with_capacity(MAX_HEADER + metadata + items);
        encode_key(1, WireType::LengthDelimited, &mut message);
        self.metadata.encode_length_delimited(&mut message).expect("the buffer grows, and encoding has no other error");
        for item in &self.items {
            encode_key(2, WireType::LengthDelimited, &mut message);
            encode_varint(item.encoded.len() as u64, &mut message);
            message.extend_from_slice(&item.encoded);
        }
        message.freeze()
    }

    /// The objects, decoded one by one.
    pub fn objects(&self) -> impl Iterator<Item = K> {
        self.items.iter().map(|item| item.decode())
    }
}

impl<K> std::fmt::Debug for ListAnswer<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListAnswer").field("metadata", &self.metadata).field("items", &self.items.len()).finish()
    }
}

/// A field's key and length take at most this many bytes.
const MAX_HEADER: usize = 11;
