//! Runs the plugins of each extension point, inside its span, and notes their verdicts there.
//!
//! Filter and Score have loops of their own (`feasible`, `ranking`), because they run per node.

use std::collections::BTreeSet;
use std::sync::Arc;

use telemetry::span::scheduling::{ExtensionPoint, extension_point, verdict};
use tracing::{Instrument, Span};

use super::{
    Binding, CycleState, Filter, Framework, Permission, PreFiltered, PreScored, Rejection, Score, Verdict, WaitingPods,
};
use crate::cache::{NodeInfo, Snapshot};
use crate::diagnosis::Diagnosis;
use crate::pod_info::PodInfo;

/// Which nodes PreFilter left to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// All of them.
    All,
    /// Only these, as these plugins say.
    Only(BTreeSet<String>, Vec<&'static str>),
}

impl Framework {
    /// Whether the pod may be tried at all.
    pub fn pre_enqueue(&self, pod: &PodInfo) -> Verdict {
        self.points
            .pre_enqueue
            .iter()
            .try_for_each(|plugin| named("PreEnqueue", plugin.name(), plugin.pre_enqueue(pod)))
    }

    /// Looks at the pod before the nodes.
    pub fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Verdict<Candidates> {
        let span = extension_point(ExtensionPoint::PreFilter);
        span.in_scope(|| {
            let mut only: Option<BTreeSet<String>> = None;
            let mut limiting = Vec::new();
            for plugin in &self.points.pre_filter {
                let answer = plugin.pre_filter(state, pod, snapshot);
                if answer == Ok(PreFiltered::Skip) {
                    verdict(&span, plugin.name(), "Skip", 0, "");
                    state.skip_filter(plugin.name());
                    continue;
                }
                match noted(&span, "PreFilter", plugin.name(), answer)? {
                    PreFiltered::Proceed | PreFiltered::Skip => {}
                    PreFiltered::Only(nodes) => {
                        limiting.push(plugin.name());
                        let both = match only {
                            Some(others) => others.intersection(&nodes).cloned().collect(),
                            None => nodes,
                        };
                        if both.is_empty() {
                            return Err(no_common_node(&limiting).by(plugin.name(), "PreFilter"));
                        }
                        only = Some(both);
                    }
                }
            }
            Ok(only.map_or(Candidates::All, |nodes| Candidates::Only(nodes, limiting)))
        })
    }

    /// The filters that have something to say about the pod of `state`.
    pub fn filters(&self, state: &CycleState) -> Vec<&dyn Filter> {
        let filters = self.points.filter.iter().map(|plugin| &**plugin);
        filters.filter(|plugin| !state.skips_filter(plugin.name())).collect()
    }

    /// Makes room; what was done.
    pub fn post_filter(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        diagnosis: &Diagnosis,
        snapshot: &Snapshot,
    ) -> String {
        if self.points.post_filter.is_empty() {
            return String::new();
        }
        let span = extension_point(ExtensionPoint::PostFilter);
        span.in_scope(|| {
            let plugins = self.points.post_filter.iter();
            let messages = plugins.map(|plugin| plugin.post_filter(state, pod, diagnosis, snapshot));
            messages.filter(|message| !message.is_empty()).collect::<Vec<_>>().join(" ")
        })
    }

    /// Looks at the feasible nodes before they are scored.
    pub fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, nodes: &[&Arc<NodeInfo>], snapshot: &Snapshot) {
        let span = extension_point(ExtensionPoint::PreScore);
        span.in_scope(|| {
            for plugin in &self.points.pre_score {
                let answer = plugin.pre_score(state, pod, nodes, snapshot);
                if answer == PreScored::Skip {
                    state.skip_score(plugin.name());
                }
                verdict(
                    &span,
                    plugin.name(),
                    if answer == PreScored::Skip { "Skip" } else { "Success" },
                    nodes.len(),
                    "",
                );
            }
        });
    }

    /// The scorers that have something to say, with their weights.
    pub fn scorers(&self, state: &CycleState) -> Vec<(&dyn Score, i64)> {
        let scorers = self.points.score.iter().map(|(plugin, weight)| (&**plugin, *weight));
        scorers.filter(|(plugin, _)| !state.skips_score(plugin.name())).collect()
    }

    /// Lets plugins promise what the pod needs. After a rejection nothing is promised.
    pub fn reserve(&self, state: &mut CycleState, pod: &PodInfo, node: &str) -> Verdict {
        let span = extension_point(ExtensionPoint::Reserve);
        span.in_scope(|| {
            let mut plugins = self.points.reserve.iter();
            let promised =
                plugins.try_for_each(|plugin| noted(&span, "Reserve", plugin.name(), plugin.reserve(state, pod, node)));
            if promised.is_err() {
                self.unreserve(state, pod, node);
            }
            promised
        })
    }

    /// Takes all promises back.
    pub fn unreserve(&self, state: &CycleState, pod: &PodInfo, node: &str) {
        self.points.reserve.iter().rev().for_each(|plugin| plugin.unreserve(state, pod, node));
    }

    /// Asks for permission to bind. A pod that has to wait is put among the waiting ones.
    pub fn permit(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Verdict {
        if self.points.permit.is_empty() {
            return Ok(());
        }
        let span = extension_point(ExtensionPoint::Permit);
        span.in_scope(|| {
            let mut waits = Vec::new();
            for plugin in &self.points.permit {
                match noted(&span, "Permit", plugin.name(), plugin.permit(state, pod, node))? {
                    Permission::Granted => {}
                    Permission::Wait(limit) => waits.push((plugin.name(), limit)),
                }
            }
            self.waiting.add(&pod.uid, waits);
            Ok(())
        })
    }

    /// Waits until every plugin that held the pod up allows it.
    pub async fn wait_on_permit(&self, pod: &PodInfo) -> Verdict {
        WaitingPods::decided(&self.waiting, &pod.uid).await
    }

    /// Prepares what must be there before the binding.
    pub async fn pre_bind(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Verdict {
        if self.points.pre_bind.is_empty() {
            return Ok(());
        }
        let span = extension_point(ExtensionPoint::PreBind);
        async {
            for plugin in &self.points.pre_bind {
                noted(&Span::current(), "PreBind", plugin.name(), plugin.pre_bind(state, pod, node).await)?;
            }
            Ok(())
        }
        .instrument(span)
        .await
    }

    /// Binds, by the first plugin that takes it on.
    pub async fn bind(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Verdict {
        let span = extension_point(ExtensionPoint::Bind);
        async {
            for plugin in &self.points.bind {
                match noted(&Span::current(), "Bind", plugin.name(), plugin.bind(state, pod, node).await)? {
                    Binding::Bound => return Ok(()),
                    Binding::Skip => {}
                }
            }
            Err(Rejection::error("no plugin binds this pod"))
        }
        .instrument(span)
        .await
    }

    /// Tells of success.
    pub fn post_bind(&self, state: &CycleState, pod: &PodInfo, node: &str) {
        if !self.points.post_bind.is_empty() {
            let span = extension_point(ExtensionPoint::PostBind);
            span.in_scope(|| self.points.post_bind.iter().for_each(|plugin| plugin.post_bind(state, pod, node)));
        }
    }
}

fn no_common_node(plugins: &[&str]) -> Rejection {
    let mut plugins = plugins.to_vec();
    plugins.sort_unstable();
    let together = if plugins.len() > 1 { " simultaneously" } else { "" };
    Rejection::unresolvable(format!("node(s) didn't satisfy plugin(s) [{}]{together}", plugins.join(" ")))
}

fn named<T>(point: &'static str, plugin: &'static str, answer: Verdict<T>) -> Verdict<T> {
    answer.map_err(|rejection| rejection.by(plugin, point))
}

/// Names the plugin in its rejection and notes its verdict on the span of the extension point.
fn noted<T>(span: &Span, point: &'static str, plugin: &'static str, answer: Verdict<T>) -> Verdict<T> {
    match &answer {
        Ok(_) => verdict(span, plugin, "Success", 0, ""),
        Err(rejection) if !span.is_disabled() => {
            verdict(span, plugin, rejection.kind.as_str(), 0, &rejection.message());
        }
        Err(_) => {}
    }
    named(point, plugin, answer)
}
