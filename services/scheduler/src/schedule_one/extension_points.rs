//! The extension points, seen from a plugin that implements them all.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::cluster::Cluster;
use super::*;
use crate::cache::{NodeInfo, Snapshot};
use crate::framework::{
    Enabled, ExtensionPoints, Filter, Permission, Permit, Plugin, PostBind, PostFilter, PreBind, PreEnqueue, PreFilter,
    PreFiltered, PreScore, PreScored, Reserve, Score, Verdict,
};
use crate::testing::{TestNode, node, pod};

/// A plugin of every kind, which says where it is asked and does what the test wants.
#[derive(Clone)]
struct Everywhere {
    asked: Arc<Mutex<Vec<String>>>,
    waits: Option<Duration>,
    refuses: Option<&'static str>,
}

impl Everywhere {
    fn new() -> Self {
        Self { asked: Arc::default(), waits: None, refuses: None }
    }

    fn asked_at(&self, point: &'static str) -> Verdict {
        self.asked.lock().push(point.to_owned());
        if self.refuses == Some(point) { Err(Rejection::unschedulable(format!("refused at {point}"))) } else { Ok(()) }
    }

    fn asked(&self) -> String {
        self.asked.lock().join(" ")
    }
}

impl Plugin for Everywhere {
    fn name(&self) -> &'static str {
        "Everywhere"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.pre_enqueue(self.clone()).pre_filter(self.clone()).filter(self.clone()).post_filter(self.clone());
        points.pre_score(self.clone()).score(self.clone()).reserve(self.clone()).permit(self.clone());
        points.pre_bind(self.clone()).post_bind(self);
    }
}

impl PreEnqueue for Everywhere {
    fn pre_enqueue(&self, _: &PodInfo) -> Verdict {
        self.asked_at("PreEnqueue")
    }
}

impl PreFilter for Everywhere {
    fn pre_filter(&self, _: &mut CycleState, _: &PodInfo, _: &Snapshot) -> Verdict<PreFiltered> {
        self.asked_at("PreFilter").map(|()| PreFiltered::Proceed)
    }
}

impl Filter for Everywhere {
    fn filter(&self, _: &CycleState, _: &PodInfo, _: &NodeInfo) -> Verdict {
        self.asked_at("Filter")
    }
}

impl PostFilter for Everywhere {
    fn post_filter(&self, _: &mut CycleState, _: &PodInfo, _: &Diagnosis, _: &Snapshot) -> String {
        let _ = self.asked_at("PostFilter");
        "preemption: nobody to blame.".to_owned()
    }
}

impl PreScore for Everywhere {
    fn pre_score(&self, _: &mut CycleState, _: &PodInfo, _: &[&Arc<NodeInfo>], _: &Snapshot) -> PreScored {
        let _ = self.asked_at("PreScore");
        PreScored::Proceed
    }
}

impl Score for Everywhere {
    fn score(&self, _: &CycleState, _: &PodInfo, _: &NodeInfo, _: &Snapshot) -> i64 {
        let _ = self.asked_at("Score");
        0
    }
}

impl Reserve for Everywhere {
    fn reserve(&self, _: &mut CycleState, _: &PodInfo, _: &str) -> Verdict {
        self.asked_at("Reserve")
    }

    fn unreserve(&self, _: &CycleState, _: &PodInfo, _: &str) {
        let _ = self.asked_at("Unreserve");
    }
}

impl Permit for Everywhere {
    fn permit(&self, _: &CycleState, _: &PodInfo, _: &str) -> Verdict<Permission> {
        self.asked_at("Permit").map(|()| self.waits.map_or(Permission::Granted, Permission::Wait))
    }
}

#[async_trait]
impl PreBind for Everywhere {
    async fn pre_bind(&self, _: &CycleState, _: &PodInfo, _: &str) -> Verdict {
        self.asked_at("PreBind")
    }
}

impl PostBind for Everywhere {
    fn post_bind(&self, _: &CycleState, _: &PodInfo, _: &str) {
        let _ = self.asked_at("PostBind");
    }
}

fn two_nodes() -> [TestNode; 2] {
    [node("a"), node("b")]
}

#[tokio::test(start_paused = true)]
async fn an_attempt_passes_all_extension_points_in_order() {
    let plugin = Everywhere::new();
    let cluster = Cluster::start_with(&two_nodes(), 9, vec![Enabled::plugin(plugin.clone())]);
    cluster.create(&pod("web"));
    cluster.until_bound("web").await;
    cluster.until_quiet().await;
    assert_eq!(
        plugin.asked(),
        "PreEnqueue PreFilter Filter Filter PreScore Score Score Reserve Permit PreBind PostBind"
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whatever_refuses_a_pod_takes_all_promises_back() {
    let table = [
        ("PreFilter", "PreEnqueue PreFilter PostFilter", "0/2 nodes are available: refused at PreFilter."),
        ("Filter", "PreEnqueue PreFilter Filter Filter PostFilter", "0/2 nodes are available: 2 refused at Filter."),
        (
            "Reserve",
            "PreEnqueue PreFilter Filter Filter PreScore Score Score Reserve Unreserve",
            "0/1 nodes are available: 1 refused at Reserve.",
        ),
        (
            "Permit",
            "PreEnqueue PreFilter Filter Filter PreScore Score Score Reserve Permit Unreserve",
            "0/1 nodes are available: 1 refused at Permit.",
        ),
        (
            "PreBind",
            "PreEnqueue PreFilter Filter Filter PreScore Score Score Reserve Permit PreBind Unreserve",
            "0/1 nodes are available: 1 refused at PreBind.",
        ),
    ];
    for (point, asked, message) in table {
        let plugin = Everywhere { refuses: Some(point), ..Everywhere::new() };
        let cluster = Cluster::start_with(&two_nodes(), 9, vec![Enabled::plugin(plugin.clone())]);
        cluster.create(&pod("web"));
        cluster.until("told", |state| !state.conditions.is_empty()).await;
        assert_eq!(plugin.asked(), asked);
        let preemption = if asked.ends_with("PostFilter") { " preemption: nobody to blame." } else { "" };
        assert_eq!(cluster.api.state.lock().conditions[0], format!("web Unschedulable: {message}{preemption}"));
        assert_eq!(cluster.scheduler.cache.lock().pod_counts(), (0, 0), "{point}");
        cluster.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_plugin_holds_a_pod_until_it_allows_it() {
    let plugin = Everywhere { waits: Some(Duration::from_secs(30)), ..Everywhere::new() };
    let cluster = Cluster::start_with(&two_nodes(), 9, vec![Enabled::plugin(plugin.clone())]);
    cluster.create(&pod("web"));
    cluster.create(&pod("gone"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((cluster.node_of("web").as_str(), cluster.waiting.uids().len()), ("", 2));
    cluster.delete("gone");
    assert!(cluster.waiting.allow("uid-web", "Everywhere"));
    cluster.until_bound("web").await;
    cluster.until_quiet().await;
    assert!(plugin.asked().contains("Unreserve"), "for the pod that is gone");
    assert_eq!(cluster.scheduler.cache.lock().pod_counts(), (1, 0));
    cluster.stop().await;
}
