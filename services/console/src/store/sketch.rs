//! What a chunk of spans says about itself, as a sorted set of hashes: the index of a search.
//!
//! Invariant: a sketch contains every term of its spans. It may therefore say "perhaps" wrongly (two terms with one hash, or terms
//! of two different spans) and never says "no" wrongly. A search skips chunks by their sketches and decodes only the rest.
//!
//! One hash of eight bytes per different term keeps the index far smaller than the spans, and nothing has to be kept in step when a
//! trace is evicted: the index of a chunk lives and dies with it.

use std::hash::{DefaultHasher, Hash, Hasher};

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::text::text;

/// One searchable fact about a span.
#[derive(Debug, Clone, Hash)]
pub(crate) enum Term<'a> {
    /// Span name.
    Name(&'a str),
    /// Span kind, by its OTLP number.
    Kind(i32),
    /// Status code, by its OTLP number.
    Status(i32),
    /// An attribute of the span or of something around or in it, with the text of its value.
    Attribute(&'a str, &'a str),
}

/// The hashes of a set of terms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sketch(Box<[u64]>);

impl Sketch {
    pub(crate) fn contains(&self, term: &Term<'_>) -> bool {
        self.0.binary_search(&hash(term)).is_ok()
    }

    /// Size on the heap, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// Collects the terms of a sketch.
#[derive(Debug, Default)]
pub(crate) struct SketchBuilder(Vec<u64>);

impl SketchBuilder {
    pub(crate) fn add(&mut self, term: &Term<'_>) {
        self.0.push(hash(term));
    }

    pub(crate) fn add_attributes(&mut self, attributes: &[KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            let value = value.as_ref().map(text).unwrap_or_default();
            self.add(&Term::Attribute(key, &value));
        }
    }

    pub(crate) fn build(mut self) -> Sketch {
        self.0.sort_unstable();
        self.0.dedup();
        Sketch(self.0.into_boxed_slice())
    }
}

fn hash(term: &Term<'_>) -> u64 {
    // Its keys are fixed, so a query hashes as the spans did. A forged collision costs its author a decoding, nothing else.
    let mut hasher = DefaultHasher::new();
    term.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_knows_its_terms_and_tells_their_sorts_apart() {
        let mut builder = SketchBuilder::default();
        builder.add(&Term::Name("sync pod"));
        builder.add(&Term::Attribute("k8s.pod.name", "web"));
        builder.add(&Term::Attribute("k8s.pod.name", "web"));
        builder.add(&Term::Kind(2));
        let sketch = builder.build();

        assert!(sketch.contains(&Term::Name("sync pod")));
        assert!(sketch.contains(&Term::Attribute("k8s.pod.name", "web")));
        assert!(!sketch.contains(&Term::Attribute("k8s.pod.name", "db")));
        assert!(!sketch.contains(&Term::Attribute("web", "k8s.pod.name")));
        assert!(!sketch.contains(&Term::Status(2)));
        assert_eq!(sketch.size(), 3 * 8, "a repeated term is kept once");
    }
}
