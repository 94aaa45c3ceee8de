//! The cache of one resource by itself: who is offered what, and what a thousand watchers cost.

use std::time::{Duration, Instant};

use api::Resource;
use api::core::v1::Pod;
use api::selector::{field, label};
use futures::StreamExt;
use prost::Message;
use store::envelope::Envelope;
use store::{Event, EventKind, Revision};
use telemetry::Cause;

use super::watchers::Place;
use super::*;

fn layout() -> Layout {
    Layout::new("/registry/pods/".to_owned(), Some("spec.nodeName"), |pod: &Pod| {
        vec![("spec.nodeName", pod.spec.node_name.clone())]
    })
}

fn cache() -> Cache {
    Cache::new(layout(), CacheLimits::default(), Progress::new())
}

fn selection(namespace: &str, fields: &str) -> Selection {
    Selection {
        namespace: namespace.to_owned(),
        labels: label::Selector::everything(),
        fields: fields.parse::<field::Selector>().unwrap(),
    }
}

fn pod(name: &str, node: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = name.to_owned();
    pod.metadata.namespace = "default".to_owned();
    pod.spec.node_name = node.to_owned();
    pod
}

fn put(pod: &Pod, revision: i64, created: bool) -> Event {
    let envelope = Envelope { api_version: "v1".to_owned(), kind: "Pod".to_owned(), raw: pod.encode_to_vec().into() };
    Event {
        key: format!("/registry/pods/default/{}", pod.metadata.name).into(),
        revision: Revision::new(revision),
        kind: EventKind::Put { created },
        value: envelope.encode(),
        cause: Cause { revision, ..Cause::default() },
    }
}

fn watch(cache: &Cache, namespace: &str, fields: &str) -> Watch {
    let options = WatchOptions { timeout: Duration::from_secs(3_600), bookmarks: false };
    cache.watch(selection(namespace, fields), WatchStart::After(Revision::NONE), options).unwrap()
}

#[test]
fn a_watcher_stands_where_only_what_may_concern_it_comes_by() {
    let table = [
        ("", "", Place::Everything),
        ("default", "", Place::Namespace("default".to_owned())),
        ("default", "metadata.name=web", Place::Object("/registry/pods/default/web".to_owned())),
        ("", "metadata.name=web", Place::Everything),
        ("", "spec.nodeName=n1", Place::Indexed("n1".to_owned())),
        ("default", "spec.nodeName=n1", Place::Indexed("n1".to_owned())),
        ("", "spec.nodeName=", Place::Everything),
        ("", "spec.nodeName!=n1", Place::Everything),
    ];
    for (namespace, fields, place) in table {
        assert_eq!(Place::of(&selection(namespace, fields), &layout()), place, "{namespace:?} {fields:?}");
    }
    let nodes = Layout::new("/registry/minions/".to_owned(), None, |_: &api::core::v1::Node| Vec::new());
    let one = Place::of(&selection("", "metadata.name=n1"), &nodes);
    assert_eq!(one, Place::Object("/registry/minions/n1".to_owned()));
    assert_eq!(Pod::INFO.plural, "pods");
}

#[tokio::test]
async fn an_event_is_encoded_once_for_all_who_watch_and_shares_its_bytes_with_the_cache() {
    let cache = cache();
    let mut watches: Vec<_> = ["", "default"].iter().map(|namespace| watch(&cache, namespace, "")).collect();
    cache.apply([put(&pod("web", ""), 5, true)].iter());
    let cached = cache.get("/registry/pods/default/web").unwrap();
    for watch in &mut watches {
        let event = watch.next().await.unwrap().unwrap();
        assert_eq!(event.object.as_ptr(), cached.encoded.as_ptr());
    }
}

#[tokio::test]
async fn an_object_that_moves_is_deleted_where_it_was_and_added_where_it_is() {
    let cache = cache();
    let (mut old, mut new) = (watch(&cache, "", "spec.nodeName=n1"), watch(&cache, "", "spec.nodeName=n2"));
    cache.apply([put(&pod("web", "n1"), 5, true)].iter());
    cache.apply([put(&pod("web", "n2"), 6, false)].iter());
    let types = async |watch: &mut Watch, count| {
        let events: Vec<_> = watch.take(count).map(|event| event.unwrap().r#type).collect().await;
        events
    };
    use api::rpc::EventType::{Added, Deleted};
    assert_eq!(types(&mut old, 2).await, [Added, Deleted]);
    assert_eq!(types(&mut new, 1).await, [Added]);
}

/// Prints what a change costs the one task that feeds the caches, by how many watch and what they watch.
#[tokio::test]
async fn figures_of_a_thousand_watchers() {
    const WATCHERS: usize = 1_000;
    const CHANGES: i64 = 200;
    for (who, fields) in [("of everything", ""), ("of a node each", "spec.nodeName=n")] {
        let cache = cache();
        let mut watches: Vec<_> = (0..WATCHERS)
            .map(|number| {
                let fields = if fields.is_empty() { String::new() } else { format!("{fields}{number}") };
                watch(&cache, "", &fields)
            })
            .collect();
        let events: Vec<_> =
            (1..=CHANGES).map(|revision| put(&pod(&format!("p{revision}"), "n7"), revision, true)).collect();
        let start = Instant::now();
        for event in &events {
            cache.apply(std::iter::once(event));
        }
        let each = start.elapsed() / u32::try_from(CHANGES).unwrap();
        println!("{WATCHERS} watchers {who}: {each:?} per change");
        for (number, watch) in watches.iter_mut().enumerate() {
            let concerned = fields.is_empty() || number == 7;
            let expected = if concerned { events.len() } else { 0 };
            assert_eq!(watch.take(expected).map(Result::unwrap).count().await, expected);
        }
    }
}

#[tokio::test]
async fn the_index_follows_objects_that_move_and_go() {
    let cache = cache();
    let on = |node: &str, after: Option<&str>| {
        let found = cache.snapshot(&selection("", &format!("spec.nodeName={node}")), after, 0);
        found.objects.iter().map(|object| object.name().to_owned()).collect::<Vec<_>>()
    };
    for (revision, name) in ["a", "b", "c"].iter().enumerate() {
        cache.apply([put(&pod(name, "n1"), 5 + revision as i64, true)].iter());
    }
    assert_eq!(
        (on("n1", None), on("n1", Some("/registry/pods/default/a"))),
        (vec!["a".into(), "b".into(), "c".into()], vec!["b".into(), "c".into()])
    );
    cache.apply([put(&pod("b", "n2"), 8, false)].iter());
    cache.apply([put(&pod("c", ""), 9, false)].iter());
    assert_eq!((on("n1", None), on("n2", None)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    let removed = Event { kind: EventKind::Removed, ..put(&pod("a", "n1"), 10, false) };
    cache.apply([removed].iter());
    assert_eq!(on("n1", None), Vec::<String>::new());
    assert_eq!(cache.snapshot(&selection("other", "spec.nodeName=n2"), None, 0).objects.len(), 0);
}
