//! Registration and heartbeats against a scripted apiserver, under paused time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::coordination::v1::Lease;
use api::core::v1::{Event, Node, NodeStatus, Taint};
use api::rpc::{CreateRequest, UpdateRequest};
use client::{Api, Client};
use controller::Recorder;
use parking_lot::Mutex;
use service_kit::{Clock, Shutdown, Supervisor};
use telemetry::span::TraceMode;
use testkit::scripted::ScriptedApiserver;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::{Instant, timeout};

use super::*;
use crate::lifecycle::NodeFacts;
use crate::pod::{ApiServer, NodeContext, NodeDns, Sources, Volumes};
use crate::runtime::Runtime;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::virtual_engine::VirtualEngine;

fn specifics() -> NodeSpecifics {
    NodeSpecifics {
        name: "n1".to_owned(),
        labels: BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]),
        taints: vec![Taint { key: "a".to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }],
        pod_cidr: Some("10.244.1.0/24".parse().unwrap()),
    }
}

fn ready() -> NodeStatus {
    let json = serde_json::json!({"conditions": [{"type": "Ready", "status": "True"}]});
    serde_json::from_value(json).unwrap()
}

fn heartbeat(client: &Client) -> Heartbeat {
    // Events go elsewhere, so that the calls here are those of the heartbeat.
    let (elsewhere, _) = ScriptedApiserver::start();
    heartbeat_telling(client, &elsewhere)
}

fn heartbeat_telling(client: &Client, events: &Client) -> Heartbeat {
    let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
    let engine = VirtualEngine::new("n1", Arc::new(Catalogue::built_in()), clock.clone(), None);
    let shutdown = Shutdown::new();
    let supervisor = Supervisor::new(&shutdown);
    let recorder: Recorder = ApiServer::recorder(events, &supervisor, &shutdown);
    // A node without pods asks for nothing.
    let over = Shutdown::new();
    over.trigger();
    let sources = Sources::start(client, &supervisor, &over);
    let context = Arc::new(NodeContext {
        name: "n1".to_owned(),
        runtime: Runtime::of(engine),
        api: Arc::new(ApiServer::new(client, sources, None, recorder.clone())),
        root_dir: "/var/lib/kubelet".into(),
        volumes: Volumes::default(),
        dns: NodeDns::default(),
        facts: NodeFacts::default(),
        clock,
        trace_mode: TraceMode::default(),
        node: watch::Sender::default(),
        running_pods: Default::default(),
        admitted: Mutex::default(),
        health: Mutex::default(),
        changed: Notify::new(),
    });
    Heartbeat {
        context,
        facts: Facts { name: "n1".to_owned(), ..Facts::default() },
        nodes: Api::<Node>::all(client.clone()).untraced(),
        leases: Heartbeat::leases_of(client),
        lease_seconds: 40,
        pod_cidr: specifics().pod_cidr,
        runtime_version: OnceCell::new(),
        addressed: OnceCell::new(),
        update_frequency: Duration::from_secs(10),
        report_frequency: Duration::from_secs(300),
        recorder,
    }
}

#[tokio::test(start_paused = true)]
async fn n1_a_new_node_is_created_and_reported_ready_at_once() {
    let (client, mut server) = ScriptedApiserver::start();
    let nodes = Api::<Node>::all(client);
    let registering = tokio::spawn(async move { register(&nodes, &specifics(), &ready()).await });

    let call = server.expect::<Node>("Create").await;
    let mut node = call.request::<CreateRequest<Node>>().object;
    assert_eq!(node.metadata.labels["kubernetes.io/hostname"], "n1");
    assert_eq!(node.metadata.labels["disk"], "ssd");
    assert_eq!((node.spec.pod_cidr.as_str(), node.spec.taints.len()), ("10.244.1.0/24", 1));
    // An apiserver may leave out the status of what is created.
    node.status = NodeStatus::default();
    call.answer(&node);

    let call = server.expect::<Node>("UpdateStatus").await;
    let reported = call.request::<UpdateRequest<Node>>().object;
    assert_eq!(reported.status.conditions[0].status, "True");
    call.answer(&reported);
    assert_eq!(registering.await.unwrap().unwrap().status, ready());
}

#[tokio::test(start_paused = true)]
async fn n1_a_node_that_is_known_is_taken_up_with_its_own_taints_and_addresses() {
    let (client, mut server) = ScriptedApiserver::start();
    let nodes = Api::<Node>::all(client);
    let registering = tokio::spawn(async move { register(&nodes, &specifics(), &ready()).await });
    server.expect::<Node>("Create").await.refuse(&api::Error::already_exists("", "nodes", "n1"));

    let mut known = Node { status: ready(), ..Node::default() };
    known.metadata.name = "n1".to_owned();
    known.spec.pod_cidr = "10.9.0.0/24".to_owned();
    server.expect::<Node>("Get").await.answer(&known);
    let call = server.expect::<Node>("Update").await;
    let updated = call.request::<UpdateRequest<Node>>().object;
    assert_eq!(updated.metadata.labels["disk"], "ssd");
    assert_eq!((updated.spec.pod_cidr.as_str(), updated.spec.taints.len()), ("10.9.0.0/24", 0));
    call.answer(&updated);
    registering.await.unwrap().expect("its status is as it should be, so nothing more is written");
}

#[tokio::test(start_paused = true)]
async fn n1_the_lease_is_made_and_renewed_every_ten_seconds() {
    let (client, mut server) = ScriptedApiserver::start();
    let heartbeat = heartbeat(&client);
    tokio::spawn(async move { heartbeat.renew().await });
    server.expect::<Lease>("Get").await.refuse(&api::Error::not_found("coordination.k8s.io", "leases", "n1"));
    let call = server.expect::<Lease>("Create").await;
    let mut lease = call.request::<CreateRequest<Lease>>().object;
    assert_eq!(lease.metadata.namespace, "kube-node-lease");
    assert_eq!((lease.spec.holder_identity.as_deref(), lease.spec.lease_duration_seconds), (Some("n1"), Some(40)));
    assert_eq!(lease.metadata.owner_references[0].kind, "Node");
    call.answer(&lease);
    // The first renewal comes early, so that the nodes of a process spread.
    for least in [0, 10, 10] {
        let waits = Instant::now();
        let call = server.expect::<Lease>("Update").await;
        let elapsed = waits.elapsed();
        assert!(elapsed >= Duration::from_secs(least) && elapsed <= Duration::from_millis(10_500), "{elapsed:?}");
        let renewed = call.request::<UpdateRequest<Lease>>().object;
        let time = |lease: &Lease| lease.spec.renew_time.as_ref().map(|time| (time.seconds, time.nanos));
        assert!(time(&renewed) > time(&lease));
        lease = renewed;
        call.answer(&lease);
    }
}

#[tokio::test(start_paused = true)]
async fn n1_the_status_is_reported_when_it_changes_and_every_five_minutes() {
    let (client, mut server) = ScriptedApiserver::start();
    let heartbeat = heartbeat(&client);
    tokio::spawn(async move { heartbeat.report().await });
    // The first one says more than the empty node that is known.
    let call = server.expect::<Node>("UpdateStatus").await;
    let node = call.request::<UpdateRequest<Node>>().object;
    call.answer(&node);
    let waits = Instant::now();
    let again = timeout(Duration::from_secs(3_600), server.expect::<Node>("UpdateStatus")).await;
    assert!(again.is_ok());
    let elapsed = waits.elapsed().as_secs();
    assert!((299..=311).contains(&elapsed), "nothing changed for {elapsed} s");
}

#[tokio::test(start_paused = true)]
async fn n1_what_happens_to_a_node_is_told() {
    let (client, _server) = ScriptedApiserver::start();
    let (events, mut server) = ScriptedApiserver::start();
    let heartbeat = heartbeat_telling(&client, &events);
    let mut node = Node::default();
    node.metadata.name = "n1".to_owned();
    node.status.node_info.boot_id = "b2".to_owned();
    node.status.conditions = ready().conditions;
    let mut before = NodeStatus::default();
    heartbeat.tell_reboot(&before, &node);
    before.node_info.boot_id = "b1".to_owned();
    heartbeat.tell_reboot(&before, &node);
    heartbeat.announce(&node);
    let mut cordoned = false;
    for unschedulable in [false, true, true, false] {
        node.spec.unschedulable = unschedulable;
        heartbeat.context.node.send_replace(Arc::new(node.clone()));
        heartbeat.tell_whether_schedulable(&mut cordoned);
    }
    for expected in [
        "Warning Rebooted: Node n1 has been rebooted, boot id: b2",
        "Normal Starting: Starting kubelet.",
        "Normal NodeAllocatableEnforced: Updated Node Allocatable limit across pods",
        "Normal NodeNotSchedulable: Node n1 status is now: NodeNotSchedulable",
        "Normal NodeSchedulable: Node n1 status is now: NodeSchedulable",
    ] {
        let call = server.expect::<Event>("Create").await;
        let event = call.request::<CreateRequest<Event>>().object;
        assert_eq!(format!("{} {}: {}", event.r#type, event.reason, event.message), expected);
        call.answer(&event);
    }
}
