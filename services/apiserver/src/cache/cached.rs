use bytes::Bytes;
use api::Resource;
/// An object as the cache keeps it.
pub struct Cached { pub encoded: Bytes }
impl Cached { pub fn decode<K: Resource>(&self) -> K { todo!() } }
