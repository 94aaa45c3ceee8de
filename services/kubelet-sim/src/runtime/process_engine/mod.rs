//! The runtime that runs: the commands of containers are processes of this machine, in namespaces of their own.
//!
//! ```text
//!  kubelet ── engine ──unix socket──> sandbox (one process per pod; holds network, UTS and IPC namespaces)
//!                │                       │ parent of        │ writes
//!                │ reads                 v                  v
//!                └──> state folder    containers       CRI log files
//! ```
//!
//! Per pod there is one *sandbox process*: this program, started again with a hidden first argument. It is single-threaded, so that it may
//! fork; it is the parent of all that runs in the pod (the containers' first processes and what `exec` runs), writes what they print
//! and records how they ended. So containers outlive a kubelet that was killed, and its successor takes them up again.
//!
//! | module | what it is |
//! |---|---|
//! | `network` | the node's bridge; an address and an interface for a sandbox's network namespace |
//! | `images` | the image store; root file systems |
//! | `confinement` | what a container's processes may not do and not use: users, capabilities, limits |
//! | `sandbox` | the sandbox process and what happens in it |
//!
//! # What the modules promise one another
//! All mounts of a container are made in the container's own mount namespace, by its first process before it becomes the command, and a network
//! namespace is held by its sandbox process alone. So the kernel takes all of it back when the processes end, however they end;
//! only control groups and folders are left for the engine to remove.
//!
//! The first process of a container does, in this order: waits until its parent has put it into its control group; mounts its root file
//! system, `/proc`, `/dev`, `/sys` and volumes (as the machine's root); enters the root (`pivot_root`); enters a user namespace, if it
//! gets one, whose maps its parent writes; gives up privileges and takes limits; becomes the command.

mod access;
mod adoption;
pub mod confinement;
mod containers;
pub mod images;
mod lifelines;
pub mod network;
mod records;
pub(crate) mod sandbox;
mod sandboxes;
mod service;
mod spec;
mod state;
mod streams;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use service_kit::Clock;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::catalogue::Catalogue;
use super::{Result, RuntimeError};
use crate::cri;
use confinement::Policy;
use images::ImageStore;
use network::PodNetwork;
use records::Records;
use state::State;

/// How many changes a subscriber may lag behind before it is cut off and has to list.
const SUBSCRIBER_BUFFER: usize = 4_096;

/// What an engine needs to know of its node.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's name.
    pub node: String,
    /// The folder for state, images and the containers' files.
    pub root: PathBuf,
    /// This program, which sandbox processes are started from.
    pub program: PathBuf,
    /// How long pods live on without a kubelet.
    pub adoption_timeout: Duration,
    /// Images besides the built-in ones, and what pulls are like.
    pub catalogue: Arc<Catalogue>,
    /// The static busybox that built-in images are made of; absent: the machine's.
    pub busybox: Option<PathBuf>,
    /// Whether pods may ask for the machine itself.
    pub allow_privileged: bool,
    /// How many processes a pod may have; less than 1 is no limit.
    pub pod_max_pids: i64,
}

/// One node's engine.
pub struct ProcessEngine {
    me: Weak<Self>,
    options: Options,
    policy: Policy,
    clock: Clock,
    records: Records,
    images: ImageStore,
    network: Arc<PodNetwork>,
    state: Mutex<State>,
    subscribers: Mutex<Vec<mpsc::Sender<cri::ContainerEventResponse>>>,
    /// Ends the connections to all sandbox processes.
    lifelines: CancellationToken,
    /// The calls that make something. Closed: the engine ends, and none begins any more.
    making: TaskTracker,
    /// The time of the last event or answer.
    last_stamp: AtomicI64,
}

/// Becomes a sandbox process if this program was started as one. To be called first of all in `main`, before any thread exists.
pub fn dispatch() -> Option<ExitCode> {
    sandbox::dispatch()
}

/// Why this machine cannot run containers, and what to do instead; `None` if it can.
pub fn unable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some(
            "--engine process needs root: it makes namespaces, mounts, control groups and network interfaces for pods. \
             Start the kubelet as root, or use --engine virtual, which describes containers instead of running them"
                .to_owned(),
        );
    }
    let missing: Vec<&str> = ["mnt", "pid", "net", "uts", "ipc", "user"]
        .into_iter()
        .filter(|kind| !Path::new("/proc/self/ns").join(kind).exists())
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "--engine process: this kernel has no {} namespaces; use --engine virtual, which describes containers instead of running them",
            missing.join(", ")
        )
    })
}

impl ProcessEngine {
    /// An engine that has taken up what its predecessor left running, and removed what is left of the rest.
    pub async fn open(options: Options, clock: Clock) -> Result<Arc<Self>> {
        let failed = |why: std::io::Error| {
            RuntimeError::unknown(format!("cannot keep state in {}: {why}", options.root.display()))
        };
        let records = Records::open(options.root.clone()).map_err(failed)?;
        let images =
            ImageStore::open(&options.root.join("images"), Arc::clone(&options.catalogue), options.busybox.as_deref())?;
        let network = Arc::new(PodNetwork::open(&options.node, &options.root)?);
        let policy = Policy::open(options.allow_privileged, options.pod_max_pids, &options.root);
        let engine = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            options,
            policy,
            clock,
            records,
            images,
            network,
            state: Mutex::default(),
            subscribers: Mutex::default(),
            lifelines: CancellationToken::new(),
            making: TaskTracker::new(),
            last_stamp: AtomicI64::new(0),
        });
        engine.adopt().await?;
        Ok(engine)
    }

    /// The scheme of the container ids that users see.
    pub fn name(&self) -> &'static str {
        service::RUNTIME_NAME
    }

    /// The kubelet ends in good order: so does all that runs, and what is being made just now.
    pub async fn shutdown(&self) {
        self.making.close();
        if timeout(sandboxes::PATIENCE, self.making.wait()).await.is_err() {
            tracing::warn!("something is still being made for a pod, and may be left");
        }
        let sandboxes: Vec<String> = self.state.lock().sandboxes.keys().cloned().collect();
        let stops = sandboxes.iter().map(|id| self.stop_sandbox(id));
        for error in futures::future::join_all(stops).await.into_iter().filter_map(std::result::Result::err) {
            tracing::warn!(%error, "cannot stop a pod");
        }
        let network = Arc::clone(&self.network);
        // It only fails if it panics.
        let _ = tokio::task::spawn_blocking(move || network.close()).await;
    }

    /// What the first user of a pod is on this machine, for the files that are made for it. Pods that ask for the machine's own users, or
    /// for another of its namespaces, have the machine's.
    pub fn first_user(&self, pod_uid: &str) -> u32 {
        self.policy.first_user(pod_uid).unwrap_or_else(|why| {
            // The pod's containers cannot be created either, and that says why.
            tracing::warn!(pod_uid, "the pod has no users: {why}");
            0
        })
    }

    /// Lets go of all sandbox processes, as a kubelet does that is killed. For tests: the engine must not be used any more.
    pub fn abandon(&self) {
        self.lifelines.cancel();
    }

    /// Lets a call run to its end even if its caller gives up, so that nothing happens by halves.
    async fn whole<T, F>(&self, call: impl FnOnce(Arc<Self>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let Some(me) = self.me.upgrade() else { return Err(RuntimeError::unknown("the engine is ending")) };
        let running = tokio::spawn(call(me));
        running.await.unwrap_or_else(|why| Err(RuntimeError::unknown(format!("the engine failed: {why}"))))
    }

    /// The same for a call that makes something that is there until it is taken away.
    async fn make<T, F>(&self, call: impl FnOnce(Arc<Self>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        // Held before looking: the end waits for this call, or this call sees the end.
        let held = self.making.token();
        if self.making.is_closed() {
            return Err(RuntimeError::unknown("the engine is ending"));
        }
        self.whole(|engine| {
            let made = call(engine);
            async move {
                let _held = held;
                made.await
            }
        })
        .await
    }

    /// Wall time as CRI counts it.
    fn now(&self) -> i64 {
        // Nanoseconds overflow in the year 2262.
        i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// The time of an event or an answer: later than all before, however coarse the clock. Called under the state's lock.
    fn stamp(&self) -> i64 {
        let stamp = self.now().max(self.last_stamp.load(Ordering::Relaxed) + 1);
        self.last_stamp.store(stamp, Ordering::Relaxed);
        stamp
    }

    /// Sends the state of a pod to whoever listens. Called under the state's lock, right after the change.
    fn publish(&self, state: &State, sandbox: &str, id: &str, change: cri::ContainerEventType) {
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|subscriber| !subscriber.is_closed());
        if subscribers.is_empty() {
            return;
        }
        let Some(known) = state.sandboxes.get(sandbox) else { return };
        let event = cri::ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: change.into(),
            created_at: self.stamp(),
            pod_sandbox_status: Some(known.status()),
            containers_statuses: state.containers_of(sandbox).map(state::Container::status).collect(),
        };
        // Whoever does not keep up is dropped, and learns it from the end of the stream.
        subscribers.retain(|subscriber| subscriber.try_send(event.clone()).is_ok());
    }
}

impl std::fmt::Debug for ProcessEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessEngine").field("node", &self.options.node).finish_non_exhaustive()
    }
}

/// 64 random hexadecimal digits, as ids of containers and sandboxes are.
fn new_id() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

fn no_such(kind: &str, id: &str) -> RuntimeError {
    RuntimeError::not_found(format!("{kind} {id:?}: not found"))
}
