//! Who made spans. A process names itself with every batch; here it is kept once.

use std::hash::{Hash, Hasher};

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;

use super::sketch::{Sketch, SketchBuilder, Term};

/// Who made spans: a resource (a process) and a scope (a library in it). Chunks of one origin share it.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The frame around spans of this origin: exactly one scope, with no spans.
    frame: ResourceSpans,
    /// The encoded frame, which is the origin's identity.
    key: Box<[u8]>,
    sketch: Sketch,
}

impl Origin {
    pub(crate) fn new(
        resource: Option<Resource>,
        resource_schema: String,
        scope: Option<InstrumentationScope>,
        scope_schema: String,
    ) -> Origin {
        let scope_spans = ScopeSpans { scope, spans: Vec::new(), schema_url: scope_schema };
        let frame = ResourceSpans { resource, scope_spans: vec![scope_spans], schema_url: resource_schema };
        let key = frame.encode_to_vec().into_boxed_slice();
        let sketch = SketchBuilder::default().build();
        let mut origin = Origin { frame, key, sketch };

        let mut sketch = SketchBuilder::default();
        sketch.add_attributes(origin.resource_attributes());
        sketch.add_attributes(origin.scope_attributes());
        origin.sketch = sketch.build();
        origin
    }

    pub(crate) fn resource_attributes(&self) -> &[KeyValue] {
        let resource = self.frame.resource.as_ref();
        resource.map_or(&[], |resource| &resource.attributes)
    }

    pub(crate) fn scope(&self) -> Option<&InstrumentationScope> {
        self.frame.scope_spans[0].scope.as_ref()
    }

    pub(crate) fn scope_attributes(&self) -> &[KeyValue] {
        self.scope().map_or(&[], |scope| &scope.attributes)
    }

    /// `service.name` of the resource; empty when it has none.
    pub(crate) fn service(&self) -> &str {
        let mut attributes = self.resource_attributes().iter();
        let name = attributes.find(|attribute| attribute.key == "service.name");
        match name.and_then(|name| name.value.as_ref()?.value.as_ref()) {
            Some(Value::StringValue(name)) => name,
            _ => "",
        }
    }

    /// Whether a span of this origin may have this term by way of its origin; a "no" is certain.
    pub(crate) fn may_contain(&self, term: &Term<'_>) -> bool {
        self.sketch.contains(term)
    }

    /// These spans in the frame of their origin.
    pub(crate) fn around(&self, spans: Vec<Span>) -> ResourceSpans {
        let mut framed = self.frame.clone();
        framed.scope_spans[0].spans = spans;
        framed
    }

    /// Memory that it takes, in bytes. A decoded message takes about three times its encoded size.
    pub(crate) fn size(&self) -> usize {
        size_of::<Origin>() + 4 * self.key.len() + self.sketch.size()
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Origin) -> bool {
        self.key == other.key
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
