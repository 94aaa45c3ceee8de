//! The volumes of a node's pods: made before containers start, kept in step while they run, gone before the pod's object is.
//!
//! ```text
//! spec + objects ──content──> files of a volume ──writer──> <root-dir>/pods/<uid>/volumes/...   <── mounted by ── containers
//!           ^ followed                                                ^ swapped at once by the keeper when an object or label changes
//! ```
//!
//! A runtime with real files ([`PodFiles`]) gets folders as the kubelet's. For the virtual engine nothing is written: only what a volume
//! refers to must exist. Objects are followed rather than polled, so a pod that waits for a config map goes on the moment it appears;
//! Kubernetes' back-off of failed mounts (0.5 s to about 2 min) is only the upper bound.
//!
//! Not here: claims and other storage of the cluster (`FailedMount`), tokens of service accounts (nobody issues them).

mod content;
mod files;
mod keeper;
mod last_words;
mod mounts;
mod sub_path;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Pod, Volume};
use controller::EventType::Warning;
use futures::FutureExt as _;
use futures::future::select_all;
use parking_lot::Mutex;
use service_kit::Backoff;
use telemetry::SpanExt as _;
use telemetry::span::runtime;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument as _, Span, warn};

use self::content::{Files, Input, Lookup};
use super::downward::Surroundings;
use super::execute::about;
use super::sources::{Followed, Known, Reference};
use super::{NodeContext, PodApi};
use crate::cri;

pub use files::{PodFiles, Users};
pub(super) use mounts::mounts;

/// Kubernetes' back-off of a volume that cannot be set up.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(122);
/// After that, Kubernetes tells about all that is still missing, and begins anew.
const WAIT: Duration = Duration::from_secs(123);
/// How long a first answer of the apiserver is waited for, per attempt.
const SYNC: Duration = Duration::from_secs(1);

/// The volumes of one node.
#[derive(Default)]
pub struct Volumes {
    files: Option<PodFiles>,
    pods: Mutex<HashMap<String, PodVolumes>>,
}

/// What is under way for one pod's volumes.
#[derive(Default)]
struct PodVolumes {
    /// Held by whoever changes the pod's folder. A thread that writes is not stopped by the end of who asked for it.
    folder: Arc<tokio::sync::Mutex<()>>,
    keeper: Option<keeper::Keeper>,
}

impl Volumes {
    /// Volumes with files, or none.
    pub fn new(files: Option<PodFiles>) -> Self {
        Self { files, pods: Mutex::default() }
    }

    /// Tells about a new version of a pod: its labels may be in files.
    pub(super) fn told(&self, pod: &Arc<Pod>) {
        if let Some(keeper) = self.pods.lock().get(&pod.metadata.uid).and_then(|volumes| volumes.keeper.as_ref()) {
            keeper.tell(pod);
        }
    }

    /// Completes what the runtime tells of containers that have exited by what they wrote for users to read.
    pub(super) fn complete(&self, uid: &str, statuses: &mut [cri::ContainerStatus]) {
        let Some(files) = &self.files else { return };
        for status in statuses.iter_mut().filter(|status| status.state() == cri::ContainerState::ContainerExited) {
            let metadata = status.metadata.clone().unwrap_or_default();
            last_words::complete(status, &files.last_words(uid, &metadata.name, metadata.attempt));
        }
    }

    /// Removes all that a pod had. Idempotent; an error is told and left to the next attempt or the next start of the kubelet.
    pub(super) async fn remove(&self, uid: &str) -> Result<(), String> {
        let Some(files) = self.files.clone() else { return Ok(()) };
        let folder = {
            let mut pods = self.pods.lock();
            let volumes = pods.entry(uid.to_owned()).or_default();
            volumes.keeper = None;
            Arc::clone(&volumes.folder)
        };
        let guard = folder.lock_owned().await;
        let owned = uid.to_owned();
        let removed = blocking(move || {
            let _guard = guard;
            files.remove(&owned)
        });
        let removed = removed.await.map_err(|why| format!("cannot remove the volumes of pod {uid}: {why}"));
        let mut pods = self.pods.lock();
        // A pod from a file may come back with the uid that it had, and be at work by now.
        let unused = |volumes: &PodVolumes| volumes.keeper.is_none() && Arc::strong_count(&volumes.folder) == 1;
        if removed.is_ok() && pods.get(uid).is_some_and(unused) {
            pods.remove(uid);
        }
        removed
    }

    /// Removes what pods left that are no more: a predecessor died before it could. `is_known` says which may stay.
    pub(super) async fn sweep(&self, is_known: impl Fn(&str) -> bool) {
        let Some(files) = self.files.clone() else { return };
        match blocking(move || files.pods()).await {
            Ok(found) => {
                for uid in found.iter().filter(|uid| !is_known(uid)) {
                    // A pod that has begun since it was asked has taken the folder over.
                    if self.pods.lock().contains_key(uid) {
                        continue;
                    }
                    if let Err(error) = self.remove(uid).await {
                        warn!(%error, "a pod that is gone has left something behind");
                    }
                }
            }
            Err(error) => warn!(%error, "the folders of pods cannot be listed"),
        }
    }

    fn folder_of(&self, uid: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.pods.lock().entry(uid.to_owned()).or_default().folder)
    }
}

/// Makes a pod's volumes available. Returns when they are, or after a while with what is missing.
pub(super) async fn mount(context: &Arc<NodeContext>, pod: &Arc<Pod>) -> Result<(), String> {
    let give_up = Instant::now() + WAIT;
    let mut objects = Objects::of(context.api.as_ref(), pod);
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    let mut left: Vec<&Volume> = pod.spec.volumes.iter().collect();
    loop {
        let attempt = set_up(context, pod, &mut objects, &mut left);
        attempt.instrument(about(pod, runtime::mount_volumes())).await;
        if left.is_empty() {
            keeper::start(context, pod, objects);
            return Ok(());
        }
        let retry_at = (Instant::now() + backoff.next_delay()).min(give_up);
        // An object has changed, or it is time to try again all the same.
        let _ = timeout_at(retry_at, objects.changed()).await;
        if Instant::now() >= give_up {
            let names: Vec<&str> = left.iter().map(|volume| volume.name.as_str()).collect();
            return Err(format!(
                "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[], \
                 failed to process volumes=[]: context deadline exceeded",
                names.join(" ")
            ));
        }
    }
}

/// Keeps the volumes of a pod that an earlier process had mounted in step.
pub(super) fn adopt(context: &Arc<NodeContext>, pod: &Arc<Pod>) {
    let objects = Objects::of(context.api.as_ref(), pod);
    keeper::start(context, pod, objects);
}

/// Sets up what is left, and leaves what could not be.
async fn set_up(context: &Arc<NodeContext>, pod: &Arc<Pod>, objects: &mut Objects, left: &mut Vec<&Volume>) {
    objects.first_answers().await;
    let mut failed = Vec::new();
    for volume in std::mem::take(left) {
        if let Err(why) = set_up_volume(context, pod, objects, volume).await {
            let message = format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name);
            Span::current().fail("FailedMount", &message);
            context.api.event(pod, "", Warning, "FailedMount", message);
            failed.push(volume);
        }
    }
    *left = failed;
}

async fn set_up_volume(
    context: &NodeContext,
    pod: &Arc<Pod>,
    objects: &Objects,
    volume: &Volume,
) -> Result<(), String> {
    let source = &volume.volume_source;
    if let Some(claim) = &source.persistent_volume_claim {
        return Err(format!("persistentvolumeclaim {:?} not found", claim.claim_name));
    }
    let files = content_of(context, pod, objects, volume)?;
    let Some(pod_files) = context.volumes.files.clone() else { return Ok(()) };
    if let Some(host) = source.host_path.clone() {
        return blocking(move || pod_files.host_path(&host).map_err(std::io::Error::other)).await;
    }
    // The image itself is the volume; the runtime brings it.
    if source.image.is_some() {
        return Ok(());
    }
    let Some(at) = pod_files.volume(&pod.metadata.uid, &volume.name, source) else {
        return Err("no volume plugin matched".to_owned());
    };
    match (files, source.empty_dir.clone()) {
        (Some(files), _) => write(context, pod, at, files).await.map(drop),
        (None, empty_dir) => {
            let empty_dir = empty_dir.unwrap_or_default();
            let guard = context.volumes.folder_of(&pod.metadata.uid).lock_owned().await;
            let pod = Arc::clone(pod);
            blocking(move || {
                let _guard = guard;
                pod_files.empty_dir(&pod, &at, &empty_dir)
            })
            .await
        }
    }
}

/// The files of a volume that is made from objects; `None` for other kinds.
fn content_of(context: &NodeContext, pod: &Pod, objects: &Objects, volume: &Volume) -> Result<Option<Files>, String> {
    let node = Arc::clone(&context.node.borrow());
    let around = Surroundings { pod_ip: "", host_ip: &context.facts.host_ip, allocatable: &node.status.allocatable };
    content::files(Input { pod, around, objects }, &volume.volume_source)
}

/// Writes the files of a volume. Answers whether anything changed.
async fn write(context: &NodeContext, pod: &Arc<Pod>, at: PathBuf, files: Files) -> Result<bool, String> {
    let Some(pod_files) = context.volumes.files.clone() else { return Ok(false) };
    let guard = context.volumes.folder_of(&pod.metadata.uid).lock_owned().await;
    let (pod, now) = (Arc::clone(pod), context.clock.now());
    blocking(move || {
        let _guard = guard;
        pod_files.write(&pod, &at, &files, now)
    })
    .await
}

/// Runs something that waits for the disk on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The objects that a pod's volumes are made from.
struct Objects(BTreeMap<Reference, Followed>);

impl Objects {
    fn of(api: &dyn PodApi, pod: &Pod) -> Self {
        let namespace = &pod.metadata.namespace;
        let volumes = pod.spec.volumes.iter();
        let references = volumes.flat_map(|volume| content::references(namespace, &volume.volume_source));
        Self(references.map(|reference| (reference.clone(), api.follow(&reference))).collect())
    }

    /// Waits until everything has been looked up once, for a moment.
    async fn first_answers(&mut self) {
        let all = async {
            for followed in self.0.values_mut() {
                let _ = followed.known.wait_for(|known| *known != Known::NotYet).await;
            }
        };
        let _ = timeout(SYNC, all).await;
    }

    /// Returns when one of them has changed since this was last asked; never, if there are none. Cancel-safe.
    async fn changed(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        // A sender lives as long as its receivers, so the end of a wait is always a change.
        let _ = select_all(self.0.values_mut().map(|followed| followed.known.changed().boxed())).await;
    }
}

impl Lookup for Objects {
    fn get(&self, reference: &Reference) -> Known {
        self.0.get(reference).map(|followed| followed.known.borrow().clone()).unwrap_or_default()
    }
}
