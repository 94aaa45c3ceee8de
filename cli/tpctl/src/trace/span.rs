//! A span, as far as it is shown.

use serde_json::Value;
use std::collections::BTreeMap;
use telemetry::attr;

/// One span. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty for a root.
    pub(crate) parent_id: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// `service.name` of who made it.
    pub(crate) service: String,
    /// `service.instance.id` of who made it; may be empty.
    pub(crate) instance: String,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Plain JSON values by name.
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) events: Vec<SpanEvent>,
    pub(crate) links: Vec<Link>,
    /// Why it failed; `None` if it did not.
    pub(crate) error: Option<String>,
}

/// On which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    #[default]
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// Something noted inside of a span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpanEvent {
    pub(crate) name: String,
    pub(crate) time: i64,
    pub(crate) attributes: BTreeMap<String, Value>,
}

/// Another cause, perhaps in another trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
}

impl Kind {
    /// From OTLP's number.
    pub(super) fn from_number(number: u64) -> Kind {
        match number {
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Internal,
        }
    }

    /// As Jaeger calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Internal => "internal",
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Producer => "producer",
            Kind::Consumer => "consumer",
        }
    }
}

impl Span {
    /// The text of an attribute; empty if it is not there.
    pub(crate) fn text(&self, key: &str) -> String {
        match self.attributes.get(key) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// Which step of a journey it is.
    pub(crate) fn step(&self) -> Option<&str> {
        self.attributes.get(attr::STEP).and_then(Value::as_str)
    }

    /// How long it took, in nanoseconds.
    pub(crate) fn duration(&self) -> i64 {
        (self.end - self.start).max(0)
    }

    /// Whether it is a transaction that changed the store: what follows from it hangs below it.
    pub(crate) fn is_commit(&self) -> bool {
        self.name == "etcd txn"
    }

    /// Whether it is time that passed, not work: between a commit and its receipt, or in a queue.
    pub(crate) fn is_wait(&self) -> bool {
        matches!(self.name.as_str(), "watch" | "queue")
    }

    /// The object that it is about, as `pod/web`; the most specific one it names.
    pub(crate) fn object(&self) -> Option<String> {
        const KINDS: [(&str, &str); 8] = [
            (attr::K8S_POD_NAME, "pod"),
            (attr::K8S_REPLICASET_NAME, "replicaset"),
            (attr::K8S_DEPLOYMENT_NAME, "deployment"),
            (attr::K8S_JOB_NAME, "job"),
            (attr::K8S_STATEFULSET_NAME, "statefulset"),
            (attr::K8S_DAEMONSET_NAME, "daemonset"),
            (attr::K8S_SERVICE_NAME, "service"),
            (attr::K8S_NODE_NAME, "node"),
        ];
        let known = KINDS.iter().find(|(key, _)| self.attributes.contains_key(*key));
        match known {
            Some((key, kind)) => Some(format!("{kind}/{}", self.text(key))),
            None => {
                let (kind, name) = (self.text(attr::OBJECT_KIND), self.text(attr::OBJECT_NAME));
                (!name.is_empty()).then(|| format!("{}/{name}", kind.to_ascii_lowercase()))
            }
        }
    }
}
