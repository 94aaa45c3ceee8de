//! The scheduler's spans, with the names of KEP-5927:
//! `SchedulePod` > `schedulingCycle` > extension points, and `bindingCycle` > extension points.
//!
//! `SchedulePod` is the run of a pod's key, so the reconcile constructor makes it, with the name [`SCHEDULE_POD`]. Plugins
//! are not spans: their verdicts are events of their extension point, one per plugin, not one per node.

use opentelemetry::KeyValue;
use tracing::Span;

use super::{SpanExt, child, work_begins};
use crate::{Step, attr};

/// The name of the span around one attempt to schedule one pod.
pub const SCHEDULE_POD: &str = "SchedulePod";

/// The extension points of the framework, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the framework's own")]
pub enum ExtensionPoint {
    PreFilter,
    Filter,
    PostFilter,
    PreScore,
    Score,
    Reserve,
    Permit,
    PreBind,
    Bind,
    PostBind,
}

impl ExtensionPoint {
    /// The span's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreFilter => "preFilter",
            Self::Filter => "filter",
            Self::PostFilter => "postFilter",
            Self::PreScore => "preScore",
            Self::Score => "score",
            Self::Reserve => "reserve",
            Self::Permit => "permit",
            Self::PreBind => "preBind",
            Self::Bind => "bind",
            Self::PostBind => "postBind",
        }
    }

    /// Filtering and scoring are steps; the binding's step is the client call inside `bind`.
    fn step(self) -> Option<Step> {
        match self {
            Self::Filter => Some(Step::PodCreate3c),
            Self::Score => Some(Step::PodCreate3d),
            _ => None,
        }
    }
}

/// Finding a node: serial, from snapshot to Permit. To try is to work, whether a node is found or not.
pub fn scheduling_cycle() -> Span {
    work_begins();
    child("schedulingCycle", None)
}

/// Binding to it: concurrent with other pods' cycles. Carry the context into its task with [`super::carry`].
pub fn binding_cycle() -> Span {
    child("bindingCycle", None)
}

/// One extension point, around all of its plugins.
pub fn extension_point(point: ExtensionPoint) -> Span {
    child(point.name(), point.step())
}

/// How many nodes the extension point of `span` looked at, and how many are left.
pub fn nodes(span: &Span, evaluated: usize, feasible: usize) {
    span.attr(attr::NODES_EVALUATED, count(evaluated)).attr(attr::NODES_FEASIBLE, count(feasible));
}

/// What one plugin decided (`Success`, `Unschedulable`, `Skip` ...), about how many nodes, and why.
pub fn verdict(span: &Span, plugin: &str, verdict: &'static str, nodes: usize, message: &str) {
    if span.is_disabled() {
        return;
    }
    let mut attributes = vec![
        KeyValue::new(attr::PLUGIN, plugin.to_owned()),
        KeyValue::new(attr::VERDICT, verdict),
        KeyValue::new(attr::NODES_EVALUATED, count(nodes)),
    ];
    if !message.is_empty() {
        attributes.push(KeyValue::new(attr::MESSAGE, message.to_owned()));
    }
    span.note("verdict", attributes);
}

fn count(nodes: usize) -> i64 {
    i64::try_from(nodes).unwrap_or(i64::MAX)
}
