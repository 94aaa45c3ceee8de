use super::*;
use crate::testing::{TestNode, TestPod, node, pod};

fn cache(nodes: &[TestNode]) -> Cache {
    let mut cache = Cache::new();
    nodes.iter().for_each(|node| cache.put_node(Arc::new(node.object.clone())));
    cache
}

/// Where each pod counts, as a snapshot shows it.
fn places(cache: &Cache) -> Vec<String> {
    let mut snapshot = Snapshot::new();
    snapshot.update(cache);
    let on = |node: &Arc<NodeInfo>| {
        let name = node.name().to_string();
        node.pods().iter().map(|pod| format!("{}@{name}", pod.name())).collect::<Vec<_>>()
    };
    let mut places: Vec<_> = snapshot.nodes().iter().flat_map(on).collect();
    places.sort();
    places
}

fn assume(cache: &mut Cache, pod: &TestPod, node: &str) -> bool {
    cache.assume(&pod.info(), &Arc::from(node))
}

/// SCENARIOS C4.
#[test]
fn the_watch_confirms_an_assumption() {
    let mut cache = cache(&[node("a")]);
    let web = pod("web").requests(&[("cpu", "1")]);
    assert!(assume(&mut cache, &web, "a"));
    assert!(cache.is_assumed("uid-web"));
    assert!(!assume(&mut cache, &web, "a"), "it counts already");
    assert_eq!(cache.put_pod(&web.clone().on("a").info()), Seen::Confirmed);
    assert!(!cache.is_assumed("uid-web"));
    assert_eq!(cache.put_pod(&web.clone().on("a").info()), Seen::Changed);
    assert_eq!(places(&cache), ["web@a"], "it never counts twice");
    cache.forget("uid-web");
    assert_eq!(places(&cache), ["web@a"], "what the watch has shown is not forgotten");
    assert!(cache.remove_pod("uid-web") && !cache.remove_pod("uid-web"));
    assert_eq!(places(&cache), [""; 0]);
}

#[test]
fn a_pod_counts_where_the_watch_sees_it_even_if_we_assumed_otherwise() {
    let mut cache = cache(&[node("a"), node("b")]);
    assert!(assume(&mut cache, &pod("web"), "a"));
    assert_eq!(cache.put_pod(&pod("web").on("b").info()), Seen::Confirmed);
    assert_eq!(places(&cache), ["web@b"]);
}

#[test]
fn a_failed_binding_is_forgotten_at_once() {
    let mut cache = cache(&[node("a")]);
    assert!(assume(&mut cache, &pod("web"), "a"));
    cache.forget("uid-web");
    assert_eq!(places(&cache), [""; 0]);
    assert!(assume(&mut cache, &pod("web"), "a"), "it can be tried again");
}

#[tokio::test(start_paused = true)]
async fn only_a_bound_pod_that_is_never_seen_expires() {
    let mut cache = cache(&[node("a")]);
    for name in ["binding", "bound", "seen"] {
        assert!(assume(&mut cache, &pod(name), "a"));
    }
    let until = Instant::now() + ASSUMED_FOR;
    cache.bound("uid-bound", until);
    cache.bound("uid-seen", until);
    cache.put_pod(&pod("seen").on("a").info());
    assert!(cache.expire(until - Duration::from_secs(1)).is_empty());
    let expired: Vec<_> = cache.expire(until).iter().map(|pod| pod.name().to_owned()).collect();
    assert_eq!(expired, ["bound"]);
    assert_eq!(places(&cache), ["binding@a", "seen@a"]);
}

#[test]
fn a_name_may_come_back_on_another_pod() {
    let mut cache = cache(&[node("a"), node("b")]);
    let first = pod("web-0");
    let mut second = pod("web-0").on("b");
    second.object.metadata.uid = "another".to_owned();
    assert!(assume(&mut cache, &first, "a"));
    assert_eq!(cache.put_pod(&second.info()), Seen::New);
    assert_eq!(places(&cache), ["web-0@a", "web-0@b"]);
}

#[test]
fn a_snapshot_copies_only_what_changed() {
    let names: Vec<_> = (0..1000).map(|index| format!("n{index}")).collect();
    let nodes: Vec<_> = names.iter().map(|name| node(name)).collect();
    let mut cache = cache(&nodes);
    let mut snapshot = Snapshot::new();
    snapshot.update(&cache);
    let before = snapshot.nodes().to_vec();
    assert!(assume(&mut cache, &pod("web"), "n7"));
    assert!(before[7].pods().is_empty(), "a snapshot does not change by itself");
    snapshot.update(&cache);
    let changed: Vec<_> = snapshot.nodes().iter().zip(&before).filter(|(new, old)| !Arc::ptr_eq(new, old)).collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].0.name(), snapshot.node("n7").unwrap().name());
    assert_eq!(snapshot.node("n7").unwrap().pods().len(), 1);
}

#[test]
fn a_snapshot_follows_nodes_that_come_and_go() {
    let mut cache = cache(&[node("a"), node("b")]);
    let mut snapshot = Snapshot::new();
    let mut names = |cache: &Cache| {
        snapshot.update(cache);
        let names: Vec<_> = snapshot.nodes().iter().map(|node| node.name().to_string()).collect();
        assert!(names.iter().all(|name| snapshot.node(name).is_some()));
        names.join(" ")
    };
    assert_eq!(names(&cache), "a b");
    cache.put_node(Arc::new(node("c").object));
    cache.remove_node("a");
    cache.remove_node("a");
    assert_eq!(names(&cache), "b c");
    cache.put_node(Arc::new(node("b").label("topology.kubernetes.io/zone", "z").object));
    assert_eq!(names(&cache), "c b", "zones in turn, the one without a name first");
}

#[test]
fn pods_may_be_seen_before_their_node_and_after_it() {
    let mut cache = Cache::new();
    cache.put_pod(&pod("early").requests(&[("cpu", "1")]).on("a").info());
    assert_eq!((places(&cache).len(), cache.node_count()), (0, 0), "there is no node yet");
    cache.put_node(Arc::new(node("a").object));
    assert_eq!(places(&cache), ["early@a"]);
    cache.remove_node("a");
    assert_eq!((places(&cache).len(), cache.pod_counts()), (0, (1, 0)));
    cache.remove_pod("uid-early");
    assert!(cache.nodes.is_empty() && cache.changes.is_empty(), "nothing is left behind");
}

#[test]
fn images_are_counted_by_nodes() {
    let mut cache = cache(&[node("a").image("nginx:1", 9).image("redis:7", 9), node("b").image("nginx:1", 9)]);
    let mut snapshot = Snapshot::new();
    let mut counts = |cache: &Cache| {
        snapshot.update(cache);
        ["nginx:1", "redis:7"].map(|image| snapshot.nodes_with_image(image))
    };
    assert_eq!(counts(&cache), [2, 1]);
    cache.put_node(Arc::new(node("b").image("redis:7", 9).object));
    assert_eq!(counts(&cache), [1, 2]);
    cache.remove_node("a");
    assert_eq!(counts(&cache), [0, 1]);
}
