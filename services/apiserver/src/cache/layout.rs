//! What the cache must know of a kind: where its objects lie, and what they can be selected by.

use std::collections::BTreeMap;
use std::fmt;

use api::{KindInfo, Resource};
use bytes::Bytes;
use prost::DecodeError;

/// What an object can be selected by.
#[derive(Debug, Default)]
pub struct Selectable {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its selectable fields beyond `metadata.name` and `metadata.namespace`, with their paths.
    pub fields: Vec<(&'static str, String)>,
}

type Extract = Box<dyn Fn(Bytes) -> Result<Selectable, DecodeError> + Send + Sync>;

/// The place of a kind in the store and in the cache.
pub struct Layout {
    /// The kind.
    pub kind: &'static KindInfo,
    /// What the keys of its objects begin with: `/registry/pods/`.
    pub prefix: String,
    /// The field by whose value watches are indexed: with it, a change of one pod is looked at by the watch of its own node and not by
    /// those of a thousand others.
    pub index: Option<&'static str>,
    extract: Extract,
}

impl Layout {
    /// A layout for kind `K` whose selectable fields `fields` reads.
    pub fn new<K: Resource>(
        prefix: String,
        index: Option<&'static str>,
        fields: impl Fn(&K) -> Vec<(&'static str, String)> + Send + Sync + 'static,
    ) -> Self {
        let extract = move |raw| {
            let mut object = K::decode(raw)?;
            let fields = fields(&object);
            Ok(Selectable { labels: std::mem::take(&mut object.metadata_mut().labels), fields })
        };
        Self { kind: K::INFO, prefix, index, extract: Box::new(extract) }
    }

    /// Reads what the object can be selected by.
    pub(crate) fn selectable(&self, raw: Bytes) -> Result<Selectable, DecodeError> {
        (self.extract)(raw)
    }

    /// The key of an object; `namespace` is empty for cluster-wide kinds.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        let mut key = self.prefix_of(namespace);
        key.push_str(name);
        key
    }

    /// What the keys of all objects of a namespace begin with; of all objects if `namespace` is empty.
    pub fn prefix_of(&self, namespace: &str) -> String {
        if namespace.is_empty() { self.prefix.clone() } else { format!("{}{namespace}/", self.prefix) }
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout({})", self.prefix)
    }
}
