//! The scheduling framework: where policy plugs into the algorithm.
//!
//! The algorithm (`schedule_one`) knows extension points and no plugin; a plugin knows its traits ([`plugin`]) and neither the
//! algorithm nor the queue. Between the two stands the [`Framework`]: it holds the enabled plugins by extension point, runs them
//! in their order with one span per extension point, and asks them which events help a pod that they rejected.
//!
//! Invariant: the plugins of one extension point run in the order in which they are enabled, and the first rejection ends it.

mod cycle_state;
mod event;
pub mod plugin;
mod run;
mod verdict;
mod waiting;

use std::sync::Arc;

pub use cycle_state::CycleState;
pub use event::{ClusterEvent, Hint, NodeChanges};
pub use plugin::{
    Bind, Binding, Filter, MAX_NODE_SCORE, Permission, Permit, Plugin, PostBind, PostFilter, PreBind, PreEnqueue,
    PreFilter, PreFiltered, PreScore, PreScored, QueueSort, Reserve, Score,
};
pub use run::Candidates;
pub use verdict::{Rejection, RejectionKind, Verdict};
pub use waiting::WaitingPods;

use crate::pod_info::PodInfo;

/// A plugin that takes part, and how much its scores count.
#[derive(Clone)]
pub struct Enabled {
    plugin: Arc<dyn Plugin>,
    weight: i64,
}

impl Enabled {
    /// A plugin without scores, or one whose scores count once.
    pub fn plugin(plugin: impl Plugin) -> Self {
        Self::scoring(1, plugin)
    }

    /// A plugin whose scores are multiplied by `weight`.
    pub fn scoring(weight: i64, plugin: impl Plugin) -> Self {
        Self { plugin: Arc::new(plugin), weight }
    }
}

/// The plugins by extension point. [`Plugin::extend`] fills it.
#[derive(Default)]
pub struct ExtensionPoints {
    queue_sort: Option<Arc<dyn QueueSort>>,
    pre_enqueue: Vec<Arc<dyn PreEnqueue>>,
    pre_filter: Vec<Arc<dyn PreFilter>>,
    filter: Vec<Arc<dyn Filter>>,
    post_filter: Vec<Arc<dyn PostFilter>>,
    pre_score: Vec<Arc<dyn PreScore>>,
    score: Vec<(Arc<dyn Score>, i64)>,
    reserve: Vec<Arc<dyn Reserve>>,
    permit: Vec<Arc<dyn Permit>>,
    pre_bind: Vec<Arc<dyn PreBind>>,
    bind: Vec<Arc<dyn Bind>>,
    post_bind: Vec<Arc<dyn PostBind>>,
    /// The weight of the plugin that is extending just now.
    weight: i64,
}

/// One method per extension point.
impl ExtensionPoints {
    /// Orders the queue. A second one replaces the first.
    pub fn queue_sort(&mut self, plugin: Arc<dyn QueueSort>) -> &mut Self {
        self.queue_sort = Some(plugin);
        self
    }

    /// Gates the queue.
    pub fn pre_enqueue(&mut self, plugin: Arc<dyn PreEnqueue>) -> &mut Self {
        self.pre_enqueue.push(plugin);
        self
    }

    /// Looks at the pod before the nodes.
    pub fn pre_filter(&mut self, plugin: Arc<dyn PreFilter>) -> &mut Self {
        self.pre_filter.push(plugin);
        self
    }

    /// Rules out nodes.
    pub fn filter(&mut self, plugin: Arc<dyn Filter>) -> &mut Self {
        self.filter.push(plugin);
        self
    }

    /// Makes room.
    pub fn post_filter(&mut self, plugin: Arc<dyn PostFilter>) -> &mut Self {
        self.post_filter.push(plugin);
        self
    }

    /// Looks at the feasible nodes before they are scored.
    pub fn pre_score(&mut self, plugin: Arc<dyn PreScore>) -> &mut Self {
        self.pre_score.push(plugin);
        self
    }

    /// Ranks nodes.
    pub fn score(&mut self, plugin: Arc<dyn Score>) -> &mut Self {
        self.score.push((plugin, self.weight));
        self
    }

    /// Promises and takes back.
    pub fn reserve(&mut self, plugin: Arc<dyn Reserve>) -> &mut Self {
        self.reserve.push(plugin);
        self
    }

    /// Holds up.
    pub fn permit(&mut self, plugin: Arc<dyn Permit>) -> &mut Self {
        self.permit.push(plugin);
        self
    }

    /// Prepares.
    pub fn pre_bind(&mut self, plugin: Arc<dyn PreBind>) -> &mut Self {
        self.pre_bind.push(plugin);
        self
    }

    /// Binds.
    pub fn bind(&mut self, plugin: Arc<dyn Bind>) -> &mut Self {
        self.bind.push(plugin);
        self
    }

    /// Hears of success.
    pub fn post_bind(&mut self, plugin: Arc<dyn PostBind>) -> &mut Self {
        self.post_bind.push(plugin);
        self
    }
}

/// The enabled plugins, ready to run.
pub struct Framework {
    plugins: Vec<Arc<dyn Plugin>>,
    points: ExtensionPoints,
    queue_sort: Arc<dyn QueueSort>,
    waiting: Arc<WaitingPods>,
}

impl Framework {
    /// Takes the plugins in their order. `waiting` is what Permit plugins allow and reject pods by.
    ///
    /// # Panics
    /// Nothing sorts the queue, or nothing binds: that is no scheduler.
    pub fn new(plugins: Vec<Enabled>, waiting: Arc<WaitingPods>) -> Self {
        let mut points = ExtensionPoints::default();
        for Enabled { plugin, weight } in &plugins {
            points.weight = *weight;
            Arc::clone(plugin).extend(&mut points);
        }
        let queue_sort = points.queue_sort.take().expect("a profile has a plugin that sorts the queue");
        assert!(!points.bind.is_empty(), "a profile has a plugin that binds");
        let plugins = plugins.into_iter().map(|enabled| enabled.plugin).collect();
        Self { plugins, points, queue_sort, waiting }
    }

    /// What orders the queue.
    pub fn queue_sort(&self) -> &Arc<dyn QueueSort> {
        &self.queue_sort
    }

    /// Pods that wait for Permit plugins.
    pub fn waiting(&self) -> &Arc<WaitingPods> {
        &self.waiting
    }

    /// Whether `event` may help a pod that these plugins rejected: one that says so is enough.
    pub fn helps(&self, event: &ClusterEvent, pod: &PodInfo, rejectors: &[&'static str]) -> bool {
        self.plugins
            .iter()
            .filter(|plugin| rejectors.contains(&plugin.name()))
            .any(|plugin| plugin.hint(pod, event) == Hint::Queue)
    }
}

impl std::fmt::Debug for Framework {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.plugins.iter().map(|plugin| plugin.name())).finish()
    }
}
