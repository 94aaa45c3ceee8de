//! What only a real etcd can do to a store: die, freeze, come back, be a member of several.

// Helpers of tests, too, may fail by panicking.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use store::conformance::{by, events_until, next, origin, text, value};
use store::{Error, EtcdConfig, EtcdStore, EventKind, ListOptions, Revision, Store};
use testkit::etcd::EtcdProcess;
use tokio::time::timeout;

const KEY: &str = "/registry/configmaps/default/a";
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(etcd: &EtcdProcess) -> EtcdStore {
    EtcdStore::new(&EtcdConfig::new([etcd.endpoint()])).unwrap()
}

/// Writes until it works, as a client of an unavailable store does. A write in doubt is looked at before the next try.
async fn create_whatever_happens(store: &EtcdStore, key: &str) {
    loop {
        match store.create(key, value(key), &by(1)).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => return,
            Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_resumes_across_restarts_of_etcd_without_loss_or_repeat() {
    const WRITES: usize = 200;
    let mut etcd = EtcdProcess::start().await;
    let store = connect(&etcd);
    let mut watch = store.watch(Revision::NONE).await.unwrap();
    let key = |number: usize| format!("/registry/configmaps/default/{number:03}");
    let writer = async {
        for number in 0..WRITES {
            create_whatever_happens(&store, &key(number)).await;
        }
        store.current_revision().await.unwrap()
    };
    let chaos = async {
        for _ in 0..2 {
            // Somewhere in the middle: after a few more writes than there were.
            let before = store.current_revision().await.unwrap_or_default();
            while store.current_revision().await.unwrap_or_default().get() < before.get() + 20 {}
            etcd.restart().await;
        }
    };
    let (end, ()) = timeout(PATIENCE, async { tokio::join!(writer, chaos) }).await.unwrap();
    let events = timeout(PATIENCE, events_until(&mut watch, end)).await.unwrap();
    let seen: Vec<_> = events.iter().map(|event| event.key.to_string()).collect();
    assert_eq!(seen, (0..WRITES).map(key).collect::<Vec<_>>());
}

#[tokio::test]
async fn objects_and_causes_survive_a_restart_of_etcd() {
    let mut etcd = EtcdProcess::start().await;
    let store = connect(&etcd);
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let other = store.create("/registry/pods/default/a", value("pod"), &by(2)).await.unwrap();
    let removed = store.delete("/registry/pods/default/a", other, &by(3)).await.unwrap();
    etcd.restart().await;

    let store = connect(&etcd);
    let entry = store.get(KEY).await.unwrap().unwrap();
    assert_eq!((text(&entry.value).as_str(), entry.revision, &entry.cause.context), ("one", created, &origin(1)));
    let mut watch = store.watch(Revision::NONE).await.unwrap();
    let causes: Vec<_> = events_until(&mut watch, removed).await.into_iter().map(|e| e.cause.context).collect();
    assert_eq!(causes, [origin(1), origin(2), origin(3)]);
}

#[tokio::test]
async fn an_etcd_that_is_down_fails_at_once_and_one_that_is_back_works_at_once() {
    let mut etcd = EtcdProcess::start().await;
    let store = connect(&etcd);
    let revision = store.create(KEY, value("one"), &by(1)).await.unwrap();
    etcd.kill().await;

    let begun = Instant::now();
    for attempt in 0..3 {
        let error = store.update(KEY, revision, value("two"), &by(2)).await.unwrap_err();
        let Error::Unavailable { message, in_doubt } = &error else { panic!("{error:?}") };
        assert!(message.contains(&etcd.endpoint()) && message.to_lowercase().contains("retry"), "{message}");
        // The first may have been on its way when the connection broke.
        assert!(attempt == 0 || !in_doubt, "nothing was sent, so nothing is in doubt: {message}");
        assert!(store.get(KEY).await.is_err());
        assert!(store.ping().await.is_err());
        assert!(store.watch(revision).await.is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());

    etcd.restart().await;
    store.ping().await.unwrap();
    store.update(KEY, revision, value("two"), &by(2)).await.unwrap();
}

#[tokio::test]
async fn an_etcd_that_has_never_been_there_can_come_later() {
    let mut etcd = EtcdProcess::start().await;
    etcd.kill().await;
    let store = connect(&etcd);
    let error = store.ping().await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    etcd.restart().await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_frozen_etcd_is_noticed_by_requests_and_by_the_watch() {
    let etcd = EtcdProcess::start_with(&["--grpc-keepalive-min-time=100ms"]).await;
    let config = EtcdConfig {
        request_timeout: Duration::from_millis(500),
        keep_alive: Duration::from_millis(300),
        keep_alive_timeout: Duration::from_millis(300),
        ..EtcdConfig::new([etcd.endpoint()])
    };
    let store = EtcdStore::new(&config).unwrap();
    let revision = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let mut watch = store.watch(revision).await.unwrap();

    etcd.freeze();
    let error = store.update(KEY, revision, value("two"), &by(2)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { in_doubt: true, .. }), "{error:?}");
    // The watch is silent too; it must find out by itself and go on when etcd does.
    let thaw = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        etcd.thaw();
        // The write in doubt may have been kept by the frozen process, which may come to it at any moment.
        let again = store.update(KEY, revision, value("two"), &by(2)).await;
        assert!(matches!(again, Ok(_) | Err(Error::Conflict { .. })), "{again:?}");
    };
    let (batch, ()) = timeout(PATIENCE, async { tokio::join!(next(&mut watch), thaw) }).await.unwrap();
    assert_eq!(text(&batch.events[0].value), "two");
}

/// A connection through which nothing comes any more, while both ends believe in it: a firewall forgot it. New
/// connections work.
#[tokio::test]
async fn a_connection_that_has_gone_silent_is_replaced() {
    let etcd = EtcdProcess::start_with(&["--grpc-keepalive-min-time=100ms"]).await;
    let silence = tokio::sync::watch::Sender::new(0);
    let endpoint = forgetful_proxy(&etcd, silence.subscribe()).await;
    let config = EtcdConfig {
        keep_alive: Duration::from_millis(300),
        keep_alive_timeout: Duration::from_millis(300),
        ..EtcdConfig::new([endpoint])
    };
    let store = EtcdStore::new(&config).unwrap();
    let revision = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let mut watch = store.watch(revision).await.unwrap();
    silence.send_replace(1);

    let updated = connect(&etcd).update(KEY, revision, value("two"), &by(2)).await.unwrap();
    let batch = timeout(PATIENCE, next(&mut watch)).await.unwrap();
    assert_eq!(batch.revision, updated);
}

/// Carries connections to etcd until the number changes; the connections of then stay open, silent.
async fn forgetful_proxy(etcd: &EtcdProcess, silence: tokio::sync::watch::Receiver<u32>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = etcd.endpoint().replace("http://", "");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut silence = silence.clone();
            silence.mark_unchanged();
            let mut server = tokio::net::TcpStream::connect(&upstream).await.unwrap();
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = silence.changed() => std::future::pending().await,
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_member_that_is_down_is_passed_over() {
    let (etcd, mut dead) = tokio::join!(EtcdProcess::start(), EtcdProcess::start());
    dead.kill().await;
    let store = EtcdStore::new(&EtcdConfig::new([dead.endpoint(), etcd.endpoint()])).unwrap();
    let revision = store.create(KEY, value("one"), &by(1)).await.unwrap();
    assert_eq!(store.get(KEY).await.unwrap().unwrap().revision, revision);
    let mut watch = store.watch(Revision::NONE).await.unwrap();
    assert_eq!(next(&mut watch).await.revision, revision);
}

#[tokio::test]
async fn an_etcd_that_lost_its_data_ends_the_watch_instead_of_silencing_it() {
    let mut etcd = EtcdProcess::start().await;
    let store = connect(&etcd);
    for number in 0..5 {
        store.create(&format!("{KEY}{number}"), value(""), &by(1)).await.unwrap();
    }
    let mut watch = store.watch(Revision::NONE).await.unwrap();
    events_until(&mut watch, store.current_revision().await.unwrap()).await;
    etcd.wipe().await;
    let error = timeout(PATIENCE, store::conformance::next_or_error(&mut watch)).await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Internal(message) if message.contains("restored from a backup")), "{error:?}");
}

#[tokio::test]
async fn large_values_are_listed_in_more_pages() {
    const COUNT: usize = 50;
    let etcd = EtcdProcess::start().await;
    let store = connect(&etcd);
    let large = value(&"x".repeat(1_450_000));
    for number in 0..COUNT {
        store.create(&format!("{KEY}{number:03}"), large.clone(), &by(1)).await.unwrap();
    }
    // 72 MB: more than one answer may have.
    let listing = store.list("/registry/configmaps/", ListOptions::default()).await.unwrap();
    assert_eq!(listing.entries.len(), COUNT);
    assert!(listing.entries.iter().all(|entry| entry.value == large));

    // A watch that has them all to catch up with gets them in parts.
    let mut watch = store.watch(Revision::NONE).await.unwrap();
    assert_eq!(events_until(&mut watch, listing.revision).await.len(), COUNT);
}

#[tokio::test]
async fn what_other_programs_write_and_remove_is_seen_without_a_cause() {
    let etcd = EtcdProcess::start().await;
    let store = connect(&etcd);
    let mut watch = store.watch(store.current_revision().await.unwrap()).await.unwrap();
    let foreign = "/registry/apiextensions.k8s.io/customresourcedefinitions/a";
    etcd.ctl(&["put", foreign, r#"{"kind":"CustomResourceDefinition"}"#]).await;
    let batch = next(&mut watch).await;
    assert_eq!(batch.events[0].kind, EventKind::Put { created: true });
    assert_eq!(batch.events[0].value, r#"{"kind":"CustomResourceDefinition"}"#);
    assert!(!batch.events[0].cause.context.is_valid() && batch.events[0].cause.committed_at.is_none());

    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    assert_eq!(next(&mut watch).await.revision, created);
    etcd.ctl(&["del", "--prefix", "/registry/"]).await;
    let batch = next(&mut watch).await;
    assert_eq!(batch.events.len(), 2, "one transaction of two removals is one batch: {batch:?}");
    assert!(batch.events.iter().all(|event| event.kind == EventKind::Removed && !event.cause.context.is_valid()));
}

#[test]
fn wrong_settings_are_named() {
    for (endpoint, says) in [("127.0.0.1:2379", "a URL such as"), ("ftp://a", "a URL such as"), ("http://", "http://")]
    {
        let error = EtcdStore::new(&EtcdConfig::new([endpoint])).err().expect(endpoint).to_string();
        assert!(error.contains(endpoint) && error.contains(says), "{error}");
    }
    let none: [&str; 0] = [];
    assert!(EtcdStore::new(&EtcdConfig::new(none)).err().unwrap().to_string().contains("--etcd-servers"));
}
