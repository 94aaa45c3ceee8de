//! Turns one export request into chunks: everything about taking spans in that needs no lock.

use std::collections::HashMap;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

use super::{
    chunk::{Spans, SpansBuilder},
    id::{SpanId, TraceId},
    origin::Origin,
};

/// The spans of one request, by origin and trace.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) groups: Vec<Group>,
    malformed: usize,
}

/// Spans of one origin; each part belongs to one trace. A trace may have several parts.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) origin: Origin,
    pub(crate) parts: Vec<(TraceId, Spans)>,
}

impl Batch {
    /// Sorts and encodes the spans. Spans without a valid trace id and span id cannot be stored; they are counted.
    pub fn new(received: Vec<ResourceSpans>) -> Batch {
        let mut batch = Batch::default();
        for resource_spans in received {
            for scope_spans in resource_spans.scope_spans {
                let parts = batch.split(&scope_spans.spans);
                if !parts.is_empty() {
                    let origin = Origin::new(
                        resource_spans.resource.clone(),
                        resource_spans.schema_url.clone(),
                        scope_spans.scope,
                        scope_spans.schema_url,
                    );
                    batch.groups.push(Group { origin, parts });
                }
            }
        }
        batch
    }

    /// How many spans had no valid ids.
    pub fn malformed(&self) -> usize {
        self.malformed
    }

    /// Parts in the order in which their traces first appear, so that the order of arrival is kept between traces too.
    fn split(&mut self, spans: &[Span]) -> Vec<(TraceId, Spans)> {
        let mut open: Vec<(TraceId, SpansBuilder)> = Vec::new();
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        let mut full = Vec::new();
        for span in spans {
            let (Some(trace), Some(_)) = (TraceId::from_bytes(&span.trace_id), SpanId::from_bytes(&span.span_id))
            else {
                self.malformed += 1;
                continue;
            };
            let place = *places.entry(trace).or_insert_with(|| {
                open.push((trace, SpansBuilder::new()));
                open.len() - 1
            });
            let builder = &mut open[place].1;
            builder.add(span);
            if builder.is_full() {
                full.push((trace, std::mem::replace(builder, SpansBuilder::new()).build()));
            }
        }
        let rest =
            open.into_iter().map(|(trace, builder)| (trace, builder.build())).filter(|(_, spans)| spans.count() > 0);
        full.into_iter().chain(rest).collect()
    }
}
