//! An informer under test.

use api::core::v1::Pod;
use client::Api;
use parking_lot::Mutex;
use service_kit::{Shutdown, Supervisor};
use std::sync::Arc;
use std::time::Duration;
use telemetry::Cause;
use testkit::objects;
use testkit::scripted::{ScriptedApiserver, ScriptedWatch};
use tokio::time::timeout;
use traceplane_controller::{Cache, Change, Informer, Key};

/// An informer of pods, the server it watches, and what its handlers heard.
pub(super) struct Scene {
    pub(super) server: ScriptedApiserver,
    pub(super) informer: Informer<Pod>,
    heard: Arc<Mutex<Vec<String>>>,
    pub(super) causes: Arc<Mutex<Vec<Cause>>>,
    pub(super) supervisor: Supervisor,
    pub(super) shutdown: Shutdown,
}

impl Scene {
    pub(super) fn start() -> Scene {
        let (client, server) = ScriptedApiserver::start();
        let shutdown = Shutdown::new();
        let supervisor = Supervisor::new(&shutdown);
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let causes: Arc<Mutex<Vec<Cause>>> = Arc::default();
        let builder = Informer::of(Api::<Pod>::all(client)).labels("app");
        let (hear, note, cache) = (Arc::clone(&heard), Arc::clone(&causes), builder.cache());
        let informer = builder
            .on_change(move |change, cause| {
                hear.lock().push(line(change, &cache));
                note.lock().push(cause.clone());
            })
            .start(&supervisor, &shutdown);
        Scene { server, informer, heard, causes, supervisor, shutdown }
    }

    /// One that has been told of pods `a` and `b`, up to revision 10.
    pub(super) async fn filled() -> (Scene, ScriptedWatch<Pod>) {
        let mut scene = Scene::start();
        let watch = scene.server.watch::<Pod>().await;
        watch.added(&pod("a", 3));
        watch.added(&pod("b", 5));
        watch.initial_events_end(10);
        assert!(scene.informer.synced().await);
        scene.hears(&["added a@3", "added b@5"]).await;
        (scene, watch)
    }

    /// Waits until the handlers have heard as much, and checks what it was; then forgets it.
    pub(super) async fn hears(&self, expected: &[&str]) {
        let enough = async {
            while self.heard.lock().len() < expected.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = timeout(Duration::from_secs(60), enough).await;
        assert_eq!(*self.heard.lock(), expected);
        self.heard.lock().clear();
    }

    /// The next watch, which must go on from this revision.
    pub(super) async fn resumed(&mut self, revision: &str) -> ScriptedWatch<Pod> {
        let watch = self.server.watch::<Pod>().await;
        assert_eq!(watch.options.resource_version, revision);
        assert_eq!(watch.options.send_initial_events, None);
        watch
    }

    /// The next watch, which must start with what exists.
    pub(super) async fn refilled(&mut self) -> ScriptedWatch<Pod> {
        let watch = self.server.watch::<Pod>().await;
        assert_eq!((watch.options.resource_version.as_str(), watch.options.send_initial_events), ("", Some(true)));
        watch
    }
}

/// A change, and what the cache has of the object while the handler runs.
fn line(change: &Change<Pod>, cache: &Cache<Pod>) -> String {
    let cached = |pod: &Pod| cache.get(&Key::of(pod)).map(|p| p.metadata.resource_version.clone());
    let object = change.object();
    let (name, revision) = (&object.metadata.name, &object.metadata.resource_version);
    match change {
        Change::Added(_) => {
            assert_eq!(cached(object).as_ref(), Some(revision), "the cache has what was added");
            format!("added {name}@{revision}")
        }
        Change::Updated { old, .. } => {
            assert_eq!(cached(object).as_ref(), Some(revision), "the cache has the new state");
            format!("updated {name}@{}..{revision}", old.metadata.resource_version)
        }
        Change::Removed(_) => {
            assert_eq!(cached(object), None, "the cache has it no more");
            format!("removed {name}@{revision}")
        }
    }
}

pub(super) fn pod(name: &str, revision: i64) -> Pod {
    let mut pod = objects::pod(name, "nginx");
    pod.metadata.uid = format!("uid-of-{name}");
    pod.metadata.resource_version = revision.to_string();
    pod
}
