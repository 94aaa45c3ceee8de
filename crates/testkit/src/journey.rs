//! A received trace, and what must always hold of it (the contract of traces, checks 1 to 4).

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use telemetry::{Step, attr};

/// A span, with what tests look at.
#[derive(Debug, Clone)]
pub struct Span {
    /// Hexadecimal.
    pub trace_id: String,
    /// Hexadecimal.
    pub span_id: String,
    /// Hexadecimal; empty for a root.
    pub parent_id: String,
    /// Name of the operation.
    pub name: String,
    /// `service.name` of the process.
    pub service: String,
    /// Nanoseconds since the epoch.
    pub start: u64,
    /// Nanoseconds since the epoch.
    pub end: u64,
    /// As text, whatever their type.
    pub attributes: BTreeMap<String, String>,
    /// Trace and span ids that it links to.
    pub links: Vec<(String, String)>,
    /// The message of a failed span.
    pub error: Option<String>,
}

impl Span {
    /// The spans of one batch.
    pub(crate) fn all_of(batch: ResourceSpans) -> impl Iterator<Item = Span> {
        let resource = batch.resource.unwrap_or_default().attributes;
        let service = attributes(resource).remove("service.name").unwrap_or_default();
        batch.scope_spans.into_iter().flat_map(|scope| scope.spans).map(move |span| Span {
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_id: hex(&span.parent_span_id),
            name: span.name,
            service: service.clone(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: attributes(span.attributes),
            links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
            error: span.status.filter(|status| status.code == 2).map(|status| status.message),
        })
    }

    /// An attribute, or nothing.
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map(String::as_str).unwrap_or_default()
    }

    /// The step that the span is, if it is one.
    pub fn step(&self) -> Option<Step> {
        self.attributes.get(attr::STEP).map(|id| id.parse().unwrap_or_else(|e| panic!("{e}")))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs.into_iter().filter_map(|pair| Some((pair.key, text(pair.value?)?))).collect()
}

fn text(value: AnyValue) -> Option<String> {
    match value.value? {
        Value::StringValue(text) => Some(text),
        Value::BoolValue(value) => Some(value.to_string()),
        Value::IntValue(value) => Some(value.to_string()),
        Value::DoubleValue(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A trace as far as it was received.
#[derive(Clone)]
pub struct Trace {
    /// Hexadecimal.
    pub id: String,
    /// By start time.
    pub spans: Vec<Span>,
}

impl Trace {
    /// A trace of these spans. A span that was received twice counts once.
    pub fn new(id: String, mut spans: Vec<Span>) -> Trace {
        spans.sort_by(|a, b| (a.start, &a.span_id).cmp(&(b.start, &b.span_id)));
        let mut seen = BTreeSet::new();
        spans.retain(|span| seen.insert(span.span_id.clone()));
        Trace { id, spans }
    }

    /// The spans without a parent.
    pub fn roots(&self) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.parent_id.is_empty()).collect()
    }

    /// The services that took part.
    pub fn services(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|span| span.service.as_str()).collect()
    }

    /// The spans that are a step; for an indexed step, whatever the index.
    pub fn step(&self, step: Step) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.step().is_some_and(|s| s.pattern() == step.pattern())).collect()
    }

    /// The patterns of all steps in the trace.
    pub fn steps(&self) -> BTreeSet<String> {
        self.spans.iter().filter_map(Span::step).map(|step| step.pattern().into_owned()).collect()
    }

    /// The steps among these that are missing.
    pub fn missing(&self, steps: &[Step]) -> Vec<String> {
        let present = self.steps();
        steps.iter().map(|step| step.pattern().into_owned()).filter(|id| !present.contains(id)).collect()
    }

    /// The part of the trace that is about one pod; see [`Trace::by_pod`].
    pub fn about_pod(&self, name: &str) -> Trace {
        self.by_pod().remove(name).unwrap_or_else(|| Trace::new(self.id.clone(), Vec::new()))
    }

    /// The parts of the trace that are about a pod each: the spans that name it, and those below them that name no other.
    pub fn by_pod(&self) -> BTreeMap<String, Trace> {
        let by_id: HashMap<&str, &Span> = self.spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
        let pod_of = |span: &Span| -> Option<String> {
            let mut span = span;
            loop {
                if let Some(pod) = span.attributes.get(attr::K8S_POD_NAME) {
                    return Some(pod.clone());
                }
                span = by_id.get(span.parent_id.as_str())?;
            }
        };
        let mut parts: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for span in &self.spans {
            if let Some(pod) = pod_of(span) {
                parts.entry(pod).or_default().push(span.clone());
            }
        }
        parts.into_iter().map(|(pod, spans)| (pod, Trace::new(self.id.clone(), spans))).collect()
    }

    /// Faults of structure: not exactly one root, a parent that is missing, a child before its parent. `others` are the traces that links
    /// may lead to.
    pub fn faults(&self, others: &BTreeMap<String, Trace>) -> Vec<String> {
        let mut faults = Vec::new();
        let by_id: HashMap<&str, &Span> = self.spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
        let roots = self.roots();
        if roots.len() != 1 {
            let names: Vec<&str> = roots.iter().map(|span| span.name.as_str()).collect();
            faults.push(format!("{} roots: {names:?}", roots.len()));
        }
        for span in self.spans.iter().filter(|span| !span.parent_id.is_empty()) {
            match by_id.get(span.parent_id.as_str()) {
                None => faults.push(format!("{} {:?} has a parent that is missing", span.service, span.name)),
                Some(parent) if span.start < parent.start => {
                    let early = parent.start - span.start;
                    faults.push(format!(
                        "{} {:?} starts {early} ns before its parent {:?}",
                        span.service, span.name, parent.name
                    ));
                }
                Some(_) => {}
            }
        }
        for span in &self.spans {
            for (trace, target) in &span.links {
                let resolves = if *trace == self.id {
                    by_id.contains_key(target.as_str())
                } else {
                    others.get(trace).is_some_and(|trace| trace.spans.iter().any(|span| span.span_id == *target))
                };
                if !resolves {
                    faults.push(format!("{} {:?} links to a span that is missing", span.service, span.name));
                }
            }
        }
        faults
    }

    /// Steps that start before what causes them. Give it the part of a trace that is about one object.
    pub fn disorder(&self) -> Vec<String> {
        let first = |step: Step| self.step(step).into_iter().map(|span| span.start).min();
        let mut disorder = Vec::new();
        for span in &self.spans {
            let Some(step) = span.step() else { continue };
            for cause in step.after() {
                if let Some(start) = first(*cause)
                    && first(step).is_some_and(|own| own < start)
                {
                    disorder.push(format!("{step} starts before {cause}"));
                }
            }
        }
        disorder
    }
}

impl fmt::Debug for Trace {
    /// One line per span, as a tree of starts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = self.spans.first().map_or(0, |span| span.start);
        writeln!(f, "trace {}", self.id)?;
        for span in &self.spans {
            let at = (span.start - begin) as f64 / 1e6;
            let took = span.end.saturating_sub(span.start) as f64 / 1e6;
            let step = span.attribute(attr::STEP);
            writeln!(
                f,
                "{at:9.1} ms {took:8.1} ms  {:<18} {:<32} {step} {}",
                span.service,
                span.name,
                span.attribute(attr::K8S_POD_NAME)
            )?;
        }
        Ok(())
    }
}
