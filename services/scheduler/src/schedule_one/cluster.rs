//! A cluster in memory for the tests: the scheduler as it is, with an apiserver that is a map.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;
use std::time::Duration;

use api::core::v1::{Node, Pod};
use async_trait::async_trait;
use controller::Change;
use parking_lot::Mutex;
use service_kit::{Metrics, Shutdown, Supervisor};
use telemetry::span::TraceMode;
use tokio::time::{sleep, timeout};

use super::*;
use crate::cache::Cache;
use crate::events::Events;
use crate::framework::{
    Bind, Binding, CycleState, Enabled, ExtensionPoints, Framework, Plugin, Rejection, Verdict, WaitingPods,
};
use crate::metrics::SchedulerMetrics;
use crate::plugins;
use crate::queue::{SchedulingQueue, Timing};
use crate::report::Report;
use crate::scheduler::Settings;
use crate::testing::{TestNode, TestPod, cause};

/// A running scheduler and its apiserver.
pub(crate) struct Cluster {
    pub(crate) api: Arc<FakeApi>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) waiting: Arc<WaitingPods>,
    events: Events,
    shutdown: Shutdown,
}

/// Holds pods and nodes, and sends the events of a watch.
#[derive(Default)]
pub(crate) struct FakeApi {
    pub(crate) state: Mutex<FakeState>,
    events: OnceLock<Events>,
}

#[derive(Default)]
pub(crate) struct FakeState {
    pub(crate) pods: BTreeMap<String, Arc<Pod>>,
    nodes: BTreeMap<String, Arc<Node>>,
    revision: i64,
    /// What happens to the next bindings; when it is empty they succeed after a millisecond.
    pub(crate) plan: VecDeque<Plan>,
    /// Conditions and events, as `pod reason: message`.
    pub(crate) conditions: Vec<String>,
    pub(crate) user_events: Vec<String>,
    pub(crate) binding_now: usize,
    pub(crate) binding_at_most: usize,
}

/// What happens to a binding.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Succeed(Duration),
    Fail(Duration, &'static str),
}

impl Cluster {
    pub(crate) fn start(nodes: &[TestNode]) -> Self {
        Self::start_with(nodes, 64, Vec::new())
    }

    /// With fewer bindings at once, and further plugins.
    pub(crate) fn start_with(nodes: &[TestNode], bind_concurrency: usize, more: Vec<Enabled>) -> Self {
        let (api, waiting) = (Arc::new(FakeApi::default()), Arc::new(WaitingPods::default()));
        let mut enabled = plugins::defaults(FakeBinder(Arc::clone(&api)));
        enabled.extend(more);
        let framework = Arc::new(Framework::new(enabled, Arc::clone(&waiting)));
        let cache = Arc::new(Mutex::new(Cache::new()));
        let queue = Arc::new(SchedulingQueue::new(Arc::clone(&framework), Timing::default()));
        let events = Events {
            scheduler_name: Arc::from("default-scheduler"),
            cache: Arc::clone(&cache),
            queue: Arc::clone(&queue),
            waiting: Arc::clone(&waiting),
            mode: TraceMode::Continue,
        };
        let _ = api.events.set(events.clone());
        let shutdown = Shutdown::new();
        let scheduler = Arc::new(Scheduler {
            framework,
            cache,
            queue,
            report: Arc::clone(&api) as Arc<dyn Report>,
            metrics: SchedulerMetrics::register(&Metrics::new("test"), "default-scheduler"),
            supervisor: Supervisor::new(&shutdown),
            settings: Settings {
                mode: TraceMode::Continue,
                bind_concurrency,
                percentage_of_nodes_to_score: 0,
                seed: Some(7),
            },
        });
        let cluster = Self { api, scheduler: Arc::clone(&scheduler), waiting, events, shutdown: shutdown.clone() };
        nodes.iter().for_each(|node| cluster.put_node(node));
        tokio::spawn(scheduler.run(shutdown));
        cluster
    }

    /// Adds or replaces a node; the cause of its event.
    pub(crate) fn put_node(&self, node: &TestNode) {
        let new = Arc::new(node.object.clone());
        let old = self.api.state.lock().nodes.insert(new.metadata.name.clone(), Arc::clone(&new));
        let change =
            old.map_or_else(|| Change::Added(Arc::clone(&new)), |old| Change::Updated { old, new: new.clone() });
        let revision = self.api.next_revision();
        self.events.node(&change, &cause(revision));
    }

    /// Creates a pod; the cause of its event.
    pub(crate) fn create(&self, pod: &TestPod) -> Cause {
        let cause = cause(self.api.next_revision());
        self.create_because(pod, &cause);
        cause
    }

    pub(crate) fn create_because(&self, pod: &TestPod, cause: &Cause) {
        let pod = Arc::new(pod.object.clone());
        self.api.state.lock().pods.insert(pod.metadata.name.clone(), Arc::clone(&pod));
        self.events.pod(&Change::Added(pod), cause);
    }

    /// Changes a pod.
    pub(crate) fn update(&self, name: &str, change: impl FnOnce(&mut Pod)) {
        let (old, new) = {
            let mut state = self.api.state.lock();
            let old = Arc::clone(&state.pods[name]);
            let mut new = (*old).clone();
            change(&mut new);
            let new = Arc::new(new);
            state.pods.insert(name.to_owned(), Arc::clone(&new));
            (old, new)
        };
        let revision = self.api.next_revision();
        self.events.pod(&Change::Updated { old, new }, &cause(revision));
    }

    /// Removes a pod.
    pub(crate) fn delete(&self, name: &str) {
        let removed = self.api.state.lock().pods.remove(name);
        let revision = self.api.next_revision();
        if let Some(pod) = removed {
            self.events.pod(&Change::Removed(pod), &cause(revision));
        }
    }

    pub(crate) fn plan(&self, plan: impl IntoIterator<Item = Plan>) {
        self.api.state.lock().plan.extend(plan);
    }

    /// The node of a pod; empty if it has none.
    pub(crate) fn node_of(&self, pod: &str) -> String {
        self.api.state.lock().pods.get(pod).map(|pod| pod.spec.node_name.clone()).unwrap_or_default()
    }

    /// Waits until it is so, for a minute of the test's time.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&FakeState) -> bool) {
        let waiting = async {
            while !so(&self.api.state.lock()) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout(Duration::from_secs(60), waiting).await.is_err() {
            let state = self.api.state.lock();
            panic!("not {what} within a minute: {:#?} {:#?}", state.conditions, state.user_events);
        }
    }

    pub(crate) async fn until_bound(&self, pod: &str) {
        self.until(&format!("{pod} bound"), |state| !state.pods[pod].spec.node_name.is_empty()).await;
    }

    /// Waits until nothing is under way, so that whatever is going to happen without an event has happened.
    pub(crate) async fn until_quiet(&self) {
        self.until("quiet", |_| {
            let lengths = self.scheduler.queue.lengths();
            lengths.active + lengths.in_flight == 0
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        timeout(Duration::from_secs(10), self.shutdown.finished()).await.expect("all attempts end");
    }
}

impl FakeApi {
    fn next_revision(&self) -> i64 {
        let mut state = self.state.lock();
        state.revision += 1;
        state.revision
    }

    fn commit(&self, pod: &PodInfo, node: &str) -> Result<(), String> {
        let (old, new) = {
            let mut state = self.state.lock();
            let old = state.pods.get(pod.name()).filter(|old| old.metadata.uid == *pod.uid).cloned();
            let Some(old) = old else { return Err(format!("pods \"{}\" not found", pod.name())) };
            if !old.spec.node_name.is_empty() {
                return Err(format!("pod {} is already assigned to node {:?}", pod.name(), old.spec.node_name));
            }
            let mut new = (*old).clone();
            node.clone_into(&mut new.spec.node_name);
            let new = Arc::new(new);
            state.pods.insert(pod.name().to_owned(), Arc::clone(&new));
            (old, new)
        };
        let cause = cause(self.next_revision());
        // A binding is committed in the trace of its attempt.
        let context = telemetry::TraceContext::current();
        let cause = Cause { context: if context.is_valid() { context } else { cause.context.clone() }, ..cause };
        let events = self.events.get().expect("the cluster sets them before it starts");
        events.pod(&Change::Updated { old, new }, &cause);
        Ok(())
    }
}

struct FakeBinder(Arc<FakeApi>);

impl Plugin for FakeBinder {
    fn name(&self) -> &'static str {
        "FakeBinder"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.bind(self);
    }
}

#[async_trait]
impl Bind for FakeBinder {
    async fn bind(&self, _: &CycleState, pod: &PodInfo, node: &str) -> Verdict<Binding> {
        let plan = {
            let mut state = self.0.state.lock();
            state.binding_now += 1;
            state.binding_at_most = state.binding_at_most.max(state.binding_now);
            state.plan.pop_front().unwrap_or(Plan::Succeed(Duration::from_millis(1)))
        };
        let answer = match plan {
            Plan::Succeed(after) => {
                sleep(after).await;
                self.0.commit(pod, node)
            }
            Plan::Fail(after, why) => {
                sleep(after).await;
                Err(why.to_owned())
            }
        };
        self.0.state.lock().binding_now -= 1;
        answer.map(|()| Binding::Bound).map_err(Rejection::error)
    }
}

#[async_trait]
impl Report for FakeApi {
    async fn not_scheduled(&self, pod: &Pod, reason: NotScheduled, message: &str) {
        sleep(Duration::from_millis(1)).await;
        let line = format!("{} {}: {message}", pod.metadata.name, reason.as_str());
        self.state.lock().conditions.push(line);
    }

    fn event(&self, pod: &Pod, kind: EventType, reason: &'static str, message: String) {
        let line = format!("{kind} {reason} {}: {message}", pod.metadata.name);
        self.state.lock().user_events.push(line);
    }
}
