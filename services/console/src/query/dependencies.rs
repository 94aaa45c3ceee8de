//! Which service calls which, by the parents of spans. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{pb::jaeger::api_v3::Dependency, store::Trace};

/// Counts, over these traces, the spans of each service whose parent belongs to each service.
pub(super) fn dependencies(traces: &[Arc<Trace>]) -> Vec<Dependency> {
    let mut calls: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for trace in traces {
        let spans: Vec<_> = trace.heads().collect();
        let services: HashMap<&[u8], &str> =
            spans.iter().map(|(origin, head)| (&head.span_id[..], origin.service())).collect();
        for (origin, head) in &spans {
            if let Some(parent) = services.get(&head.parent_span_id[..]) {
                *calls.entry((parent, origin.service())).or_default() += 1;
            }
        }
    }
    calls
        .into_iter()
        .map(|((parent, child), call_count)| Dependency {
            parent: parent.to_owned(),
            child: child.to_owned(),
            call_count,
        })
        .collect()
}
