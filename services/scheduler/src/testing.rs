//! What the unit tests build pods, nodes and events with.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{
    Affinity, Container, ContainerImage, ContainerPort, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, Pod, PodSchedulingGate, PreferredSchedulingTerm, Taint, Toleration,
};
use api::resource::Quantity;
use async_trait::async_trait;
use telemetry::{Cause, TraceContext};

use crate::cache::{Cache, NodeInfo, Resources, Snapshot};
use crate::framework::{
    Bind, Binding, ClusterEvent, CycleState, ExtensionPoints, Framework, NodeChanges, Plugin, PreScore, PreScored,
    Score, Verdict, WaitingPods,
};
use crate::plugins;
use crate::pod_info::PodInfo;

/// A pod of the default namespace with one container; its uid is `uid-<name>`.
pub(crate) fn pod(name: &str) -> TestPod {
    let mut object = Pod::default();
    object.metadata.namespace = "default".to_owned();
    object.metadata.name = name.to_owned();
    object.metadata.uid = format!("uid-{name}");
    object.metadata.resource_version = "1".to_owned();
    object.spec.scheduler_name = "default-scheduler".to_owned();
    object.spec.containers = vec![Container { name: "main".to_owned(), ..Container::default() }];
    TestPod { object }
}

/// A node of 4 cores, 8 GiB and 110 pods.
pub(crate) fn node(name: &str) -> TestNode {
    let mut object = Node::default();
    object.metadata.name = name.to_owned();
    TestNode { object, pods: Vec::new() }.allocatable(&[("cpu", "4"), ("memory", "8Gi"), ("pods", "110")])
}

#[derive(Clone)]
pub(crate) struct TestPod {
    pub(crate) object: Pod,
}

impl TestPod {
    pub(crate) fn info(&self) -> Arc<PodInfo> {
        PodInfo::of(Arc::new(self.object.clone()))
    }

    pub(crate) fn requests(mut self, amounts: &[(&str, &str)]) -> Self {
        self.object.spec.containers[0].resources.requests = quantities(amounts);
        self
    }

    pub(crate) fn priority(mut self, priority: i32) -> Self {
        self.object.spec.priority = Some(priority);
        self
    }

    pub(crate) fn host_port(mut self, host_port: i32) -> Self {
        self.object.spec.containers[0].ports.push(ContainerPort { host_port, ..ContainerPort::default() });
        self
    }

    pub(crate) fn container_image(mut self, image: &str) -> Self {
        self.object.spec.containers[0].image = image.to_owned();
        self
    }

    pub(crate) fn on(mut self, node: &str) -> Self {
        self.object.spec.node_name = node.to_owned();
        self
    }

    pub(crate) fn gate(mut self, name: &str) -> Self {
        self.object.spec.scheduling_gates.push(PodSchedulingGate { name: name.to_owned() });
        self
    }

    /// Tolerates every taint of that key.
    pub(crate) fn tolerates(mut self, key: &str) -> Self {
        let toleration = Toleration { key: key.to_owned(), operator: "Exists".to_owned(), ..Toleration::default() };
        self.object.spec.tolerations.push(toleration);
        self
    }

    pub(crate) fn selects(mut self, label: &str, value: &str) -> Self {
        self.object.spec.node_selector.insert(label.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn requires(mut self, node_selector_terms: Vec<NodeSelectorTerm>) -> Self {
        self.affinity().required_during_scheduling_ignored_during_execution =
            Some(NodeSelector { node_selector_terms });
        self
    }

    pub(crate) fn prefers(mut self, weight: i32, preference: NodeSelectorTerm) -> Self {
        let term = PreferredSchedulingTerm { weight, preference };
        self.affinity().preferred_during_scheduling_ignored_during_execution.push(term);
        self
    }

    fn affinity(&mut self) -> &mut NodeAffinity {
        let affinity = self.object.spec.affinity.get_or_insert_with(Affinity::default);
        affinity.node_affinity.get_or_insert_with(NodeAffinity::default)
    }
}

#[derive(Clone)]
pub(crate) struct TestNode {
    pub(crate) object: Node,
    pods: Vec<TestPod>,
}

impl TestNode {
    pub(crate) fn info(&self) -> NodeInfo {
        let mut info = NodeInfo::of(Arc::new(self.object.clone()));
        self.pods.iter().for_each(|pod| info.add_pod(pod.info()));
        info
    }

    /// Offers these amounts and no other.
    pub(crate) fn allocatable(mut self, amounts: &[(&str, &str)]) -> Self {
        self.object.status.allocatable = quantities(amounts);
        self
    }

    pub(crate) fn label(mut self, label: &str, value: &str) -> Self {
        self.object.metadata.labels.insert(label.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        let taint = Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned(), time_added: None };
        self.object.spec.taints.push(taint);
        self
    }

    pub(crate) fn cordoned(mut self) -> Self {
        self.object.spec.unschedulable = true;
        self
    }

    pub(crate) fn image(mut self, name: &str, size_bytes: i64) -> Self {
        self.object.status.images.push(ContainerImage { names: vec![name.to_owned()], size_bytes });
        self
    }

    /// With a pod on it.
    pub(crate) fn running(mut self, pod: TestPod) -> Self {
        self.pods.push(pod);
        self
    }
}

pub(crate) fn resources(amounts: &[(&str, &str)]) -> Resources {
    Resources::from(&api::quantity::amounts(&quantities(amounts)))
}

fn quantities(amounts: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    amounts.iter().map(|(name, text)| ((*name).to_owned(), Quantity::parse(text).unwrap())).collect()
}

pub(crate) fn term(labels: &[NodeSelectorRequirement], fields: &[NodeSelectorRequirement]) -> NodeSelectorTerm {
    NodeSelectorTerm { match_expressions: labels.to_vec(), match_fields: fields.to_vec() }
}

pub(crate) fn expression(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    NodeSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values }
}

/// The event of that change.
pub(crate) fn updated(old: TestNode, new: TestNode) -> ClusterEvent {
    let (old, new) = (Arc::new(old.info()), Arc::new(new.info()));
    ClusterEvent::NodeUpdated { changes: NodeChanges::between(&old, &new), old, new }
}

/// The reasons of a rejection in one text; empty if there is none.
pub(crate) fn reasons(verdict: Verdict) -> String {
    verdict.err().map(|rejection| rejection.message()).unwrap_or_default()
}

/// The default policy, with a binder that has nothing to do.
pub(crate) fn framework() -> Framework {
    Framework::new(plugins::defaults(NoBinder), Arc::new(WaitingPods::default()))
}

struct NoBinder;

impl Plugin for NoBinder {
    fn name(&self) -> &'static str {
        "NoBinder"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.bind(self);
    }
}

#[async_trait]
impl Bind for NoBinder {
    async fn bind(&self, _: &CycleState, _: &PodInfo, _: &str) -> Verdict<Binding> {
        Ok(Binding::Bound)
    }
}

/// A snapshot of these nodes with their pods.
pub(crate) fn snapshot_of(nodes: &[TestNode]) -> Snapshot {
    let mut cache = Cache::new();
    for node in nodes {
        cache.put_node(Arc::new(node.object.clone()));
        for pod in &node.pods {
            cache.put_pod(&pod.clone().on(&node.object.metadata.name).info());
        }
    }
    let mut snapshot = Snapshot::new();
    snapshot.update(&cache);
    snapshot
}

/// A cause in a trace of its own.
pub(crate) fn cause(revision: i64) -> Cause {
    let parent = format!("00-{:032x}-{:016x}-01", revision, revision);
    let committed_at = jiff::Timestamp::now();
    Cause::received(TraceContext::parse(&parent, ""), revision, Some(committed_at))
}

/// The plugin's normalized scores of these nodes; `None` if it has nothing to say.
pub(crate) fn scores<P: PreScore + Score>(plugin: &P, pod: &PodInfo, nodes: &[TestNode]) -> Option<Vec<i64>> {
    let mut cache = Cache::new();
    nodes.iter().for_each(|node| cache.put_node(Arc::new(node.object.clone())));
    let mut snapshot = Snapshot::new();
    snapshot.update(&cache);
    let infos: Vec<_> = nodes.iter().map(|node| Arc::new(node.info())).collect();
    let mut state = CycleState::new();
    if plugin.pre_score(&mut state, pod, &infos.iter().collect::<Vec<_>>(), &snapshot) == PreScored::Skip {
        return None;
    }
    let mut scores: Vec<_> = infos.iter().map(|node| plugin.score(&state, pod, node, &snapshot)).collect();
    plugin.normalize(&mut scores);
    Some(scores)
}
