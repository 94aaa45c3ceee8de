//! Pods that a node runs from files of its own, without the apiserver: static pods, and their mirrors in the API.
//! <https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/>
//!
//! ```text
//!  files ──Folder──> State ──PodChange──> Workers          (works while the apiserver is away)
//!                      │  ^ status, end ─────┘
//!                      v  │ watch
//!                    mirror pods in the API
//! ```
//!
//! Invariants: only a file starts and stops a static pod, never the API; a mirror that is deleted is made again; one that shows a pod which is no
//! more is deleted. What is wrong with one file is told once and concerns no other.
//!
//! Not here: pods from a URL, and static pods on the many nodes of one process.

mod folder;
mod manifest;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::Reason;
use api::core::v1::{Node, Pod};
use api::meta::v1::{DeleteOptions, Preconditions};
use client::{Api, Client};
use parking_lot::Mutex;
use service_kit::{Backoff, Clock};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use tracing::{debug, warn};

use self::folder::{Changes, Folder};
use self::state::{State, Tell, Write};
use crate::pod::PodChange;

/// Where a pod's spec came from: `file`. Pods of the apiserver have no such annotation.
pub const SOURCE: &str = "kubernetes.io/config.source";
/// Annotation that tells versions of a file apart: the uid of its pod.
const HASH: &str = "kubernetes.io/config.hash";
/// Annotation with the time at which the file was read.
const SEEN: &str = "kubernetes.io/config.seen";
/// Annotation of a mirror: the hash of what it shows.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Whether the pod comes from a file of the node.
pub fn is_static(pod: &Pod) -> bool {
    !is_mirror(pod) && pod.metadata.annotations.get(SOURCE).is_some_and(|source| source != "api")
}

/// Whether the pod only shows one that a node runs from a file.
pub fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.contains_key(MIRROR)
}

/// The static pods of one node.
pub struct StaticPods {
    node: String,
    /// Where their files are; `None`: there are none, but mirrors of a predecessor's may have to go.
    path: Option<PathBuf>,
    /// How often the files are looked at even if nothing was told.
    every: Duration,
    folder: Mutex<Option<Folder>>,
    state: Mutex<State>,
    /// There may be something to write.
    changed: Notify,
    workers: OnceLock<UnboundedSender<PodChange>>,
    pods: Api<Pod>,
    nodes: Api<Node>,
    clock: Clock,
}

impl StaticPods {
    /// Those of `node` whose files are in `path`.
    pub fn new(node: &str, path: Option<PathBuf>, every: Duration, client: &Client, clock: Clock) -> Arc<Self> {
        let folder = path.as_ref().map(|path| Folder::new(path, node));
        Arc::new(Self {
            node: node.to_owned(),
            path,
            every,
            folder: Mutex::new(folder),
            state: Mutex::default(),
            changed: Notify::new(),
            workers: OnceLock::new(),
            pods: Api::all(client.clone()).untraced(),
            nodes: Api::all(client.clone()).untraced(),
            clock,
        })
    }

    /// Whether the node runs pods from files.
    pub fn has_files(&self) -> bool {
        self.path.is_some()
    }

    /// Reads the files for the first time and tells the workers, before anything else is told to them.
    pub fn begin(&self, workers: UnboundedSender<PodChange>) {
        let _ = self.workers.set(workers);
        self.look();
    }

    /// Follows the files for ever.
    pub async fn follow(self: Arc<Self>) {
        let Some(path) = &self.path else { return std::future::pending().await };
        let mut changes = Changes::of(path, self.every);
        loop {
            let looking = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || looking.look()).await {
                warn!(%error, "the files of static pods could not be looked at");
            }
            changes.next().await;
        }
    }

    /// Keeps the mirrors in step for ever.
    pub async fn mirror(self: Arc<Self>) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut uid = None;
        loop {
            let changed = self.changed.notified();
            match self.write_all(&mut uid).await {
                Ok(0) => {
                    backoff.reset();
                    changed.await;
                }
                Ok(_) => {}
                Err(error) => {
                    let delay = backoff.next_delay();
                    if backoff.failures().is_power_of_two() {
                        warn!(node = self.node, %error, ?delay, "the mirrors of static pods are not up to date");
                    }
                    sleep(delay).await;
                }
            }
        }
    }

    /// A worker reports its pod's status.
    pub(crate) fn report(&self, pod: &Pod) {
        self.state.lock().report(pod);
        self.changed.notify_one();
    }

    /// Nothing of a pod is left on the node.
    pub(crate) fn ended(&self, pod: &Pod) {
        let told = self.state.lock().ended(pod, self.clock.now());
        self.tell(told);
    }

    /// The apiserver has this version of a mirror.
    pub(crate) fn mirrored(&self, mirror: &Arc<Pod>) {
        self.state.lock().mirrored(Arc::clone(mirror));
        self.changed.notify_one();
    }

    /// The apiserver has this mirror no more.
    pub(crate) fn unmirrored(&self, mirror: &Pod) {
        self.state.lock().unmirrored(mirror);
        self.changed.notify_one();
    }

    fn look(&self) {
        let Some(pods) = self.folder.lock().as_mut().map(Folder::pods) else { return };
        let (told, running) = {
            let mut state = self.state.lock();
            (state.files_say(pods, self.clock.now()), state.pods())
        };
        self.tell(told);
        // A worker that has failed, or was still ending when its pod came back, is made up for.
        self.send(PodChange::Known(running));
    }

    fn tell(&self, told: Vec<Tell>) {
        for tell in told {
            self.send(match tell {
                Tell::Version(pod) => PodChange::Version(pod, Default::default()),
                Tell::Gone(pod) => PodChange::Gone(pod, Default::default()),
            });
        }
        self.changed.notify_one();
    }

    fn send(&self, change: PodChange) {
        if let Some(workers) = self.workers.get() {
            // A node that has ended hears nothing more.
            let _ = workers.send(change);
        }
    }

    /// Writes what has to be written, and answers how much that was.
    async fn write_all(&self, uid: &mut Option<String>) -> Result<usize, api::Error> {
        if uid.is_none() && !self.state.lock().pods().is_empty() {
            *uid = Some(self.nodes.get(&self.node).await?.metadata.uid);
        }
        let writes = self.state.lock().writes(uid.as_deref().map(|uid| (self.node.as_str(), uid)));
        let count = writes.len();
        for write in writes {
            if let Err(error) = Box::pin(self.write(write)).await {
                // The node may have been registered anew: then it has another uid.
                *uid = None;
                return Err(error);
            }
        }
        Ok(count)
    }

    async fn write(&self, write: Write) -> Result<(), api::Error> {
        match write {
            Write::Create(mirror) => {
                let pods = self.pods.within(&mirror.metadata.namespace);
                match pods.create(&mirror).await {
                    Ok(made) => self.state.lock().mirrored(Arc::new(made)),
                    Err(error) if error.reason == Reason::AlreadyExists => {
                        let there = pods.get(&mirror.metadata.name).await?;
                        if !is_mirror(&there) || there.spec.node_name != self.node {
                            return Err(error);
                        }
                        self.state.lock().mirrored(Arc::new(there));
                    }
                    Err(error) => return Err(error),
                }
            }
            Write::Delete(mirror) => {
                let preconditions = Preconditions { uid: Some(mirror.metadata.uid.clone()), resource_version: None };
                let options = DeleteOptions {
                    grace_period_seconds: Some(0),
                    preconditions: Some(preconditions),
                    ..DeleteOptions::default()
                };
                let pods = self.pods.within(&mirror.metadata.namespace);
                match pods.delete(&mirror.metadata.name, options).await {
                    Ok(_) => {}
                    // Somebody was faster, or another pod has the name.
                    Err(error) if error.is_not_found() || error.is_conflict() => {}
                    Err(error) => return Err(error),
                }
                self.state.lock().unmirrored(&mirror);
            }
            Write::Status(mirror) => {
                let pods = self.pods.within(&mirror.metadata.namespace);
                match pods.update_status(&mirror).await {
                    Ok(written) => self.state.lock().mirrored(Arc::new(written)),
                    Err(error) if error.is_not_found() => self.state.lock().unmirrored(&mirror),
                    Err(error) if error.is_conflict() => {
                        let newest = pods.get(&mirror.metadata.name).await?;
                        debug!(pod = mirror.metadata.name, "a mirror has changed meanwhile");
                        self.state.lock().mirrored(Arc::new(newest));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
