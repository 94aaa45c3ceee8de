//! What a plugin answers: go on, or a rejection with its reasons.

use std::borrow::Cow;

/// The answer of a plugin at an extension point: something to go on with, or why not.
pub type Verdict<T = ()> = Result<T, Rejection>;

/// Why a plugin does not let a pod pass, or not on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The plugin that said no. The framework fills it in, as it does the next.
    pub plugin: &'static str,
    /// Where it said so: `Filter`, `Reserve` ...
    pub point: &'static str,
    /// What it means for the pod.
    pub kind: RejectionKind,
    /// Reasons for people, counted per node in the pod's condition: `Insufficient cpu`, `Too many pods`.
    pub reasons: Vec<Cow<'static, str>>,
}

/// What a rejection means for the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionKind {
    /// Not as things are, but it would be possible if other pods left.
    Unschedulable,
    /// Not even if all other pods left: preemption would not help.
    Unresolvable,
    /// The plugin itself failed. The attempt ends and is repeated after a back-off.
    Error,
}

impl Rejection {
    /// Not as things are.
    pub fn unschedulable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::Unschedulable, vec![reason.into()])
    }

    /// Not even if other pods left.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::Unresolvable, vec![reason.into()])
    }

    /// The plugin failed.
    pub fn error(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RejectionKind::Error, vec![reason.into()])
    }

    /// With several reasons.
    pub fn new(kind: RejectionKind, reasons: Vec<Cow<'static, str>>) -> Self {
        Self { plugin: "", point: "", kind, reasons }
    }

    /// The same, said by this plugin at this extension point.
    pub(crate) fn by(self, plugin: &'static str, point: &'static str) -> Self {
        Self { plugin, point, ..self }
    }

    /// What went wrong and where, as Kubernetes words it.
    pub(crate) fn failure(&self) -> String {
        let (plugin, message) = (self.plugin, self.message());
        match self.point {
            "Filter" => format!("running {plugin:?} filter plugin: {message}"),
            "Bind" => format!("binding rejected: running Bind plugin {plugin:?}: {message}"),
            point => format!("running {point} plugin {plugin:?}: {message}"),
        }
    }

    /// All reasons in one text.
    pub fn message(&self) -> String {
        self.reasons.join(", ")
    }
}

impl RejectionKind {
    /// The word in metrics and traces, as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unschedulable => "Unschedulable",
            Self::Unresolvable => "UnschedulableAndUnresolvable",
            Self::Error => "Error",
        }
    }
}
