//! A trace in a few numbers. Pure.

use std::collections::{BTreeMap, HashSet};

use crate::{
    pb::jaeger::api_v3::{ServiceSummary, TraceSummary},
    store::Trace,
};

pub(super) fn summarize(trace: &Trace) -> TraceSummary {
    let mut summary = TraceSummary {
        trace_id: trace.id().to_string(),
        min_start_time_unix_nano: trace.bounds().start,
        max_end_time_unix_nano: trace.bounds().end,
        ..TraceSummary::default()
    };
    let mut services: BTreeMap<&str, ServiceSummary> = BTreeMap::new();
    let mut ids = HashSet::new();
    let mut parents = Vec::new();
    for (origin, head) in trace.heads() {
        let errors = i32::from(head.is_error());
        let service = services.entry(origin.service()).or_default();
        service.span_count += 1;
        service.error_span_count += errors;
        summary.span_count += 1;
        summary.error_span_count += errors;
        if !head.parent_span_id.is_empty() {
            parents.push(head.parent_span_id);
        } else if summary.root_operation_name.is_empty() {
            summary.root_service_name = origin.service().to_owned();
            summary.root_operation_name = head.name;
        }
        ids.insert(head.span_id);
    }
    summary.orphan_span_count = parents.iter().filter(|parent| !ids.contains(*parent)).count() as i32;
    summary.services =
        services.into_iter().map(|(name, counts)| ServiceSummary { name: name.to_owned(), ..counts }).collect();
    summary
}
