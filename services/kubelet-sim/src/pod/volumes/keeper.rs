//! Keeps the files of a running pod in step with the objects they are made from.
//!
//! Variables and what was mounted by `subPath` stay as they were when the container started, as in Kubernetes. An update that cannot be made
//! (the object is gone, a key is missing, the disk is full) is told, leaves the files as they are, and is tried again: at the next change,
//! and after a while in any case.

use std::sync::Arc;

use api::core::v1::{Pod, Volume};
use controller::EventType::Warning;
use service_kit::Backoff;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::{FIRST_RETRY, LAST_RETRY, Objects, content_of, write};
use crate::pod::NodeContext;

/// A pod's keeper. Dropping it ends it.
pub(super) struct Keeper {
    pod: watch::Sender<Arc<Pod>>,
    _task: AbortOnDropHandle<()>,
}

impl Keeper {
    /// There is a new version of the pod.
    pub(super) fn tell(&self, pod: &Arc<Pod>) {
        self.pod.send_if_modified(|known| {
            let news =
                known.metadata.labels != pod.metadata.labels || known.metadata.annotations != pod.metadata.annotations;
            if news {
                *known = Arc::clone(pod);
            }
            news
        });
    }
}

/// Starts the keeper of a pod that has volumes which can change.
pub(super) fn start(context: &Arc<NodeContext>, pod: &Arc<Pod>, objects: Objects) {
    if context.volumes.files.is_none() || !pod.spec.volumes.iter().any(can_change) {
        return;
    }
    let (sender, versions) = watch::channel(Arc::clone(pod));
    let task = tokio::spawn(keep(Arc::downgrade(context), versions, objects));
    let keeper = Keeper { pod: sender, _task: AbortOnDropHandle::new(task) };
    context.volumes.pods.lock().entry(pod.metadata.uid.clone()).or_default().keeper = Some(keeper);
}

fn can_change(volume: &Volume) -> bool {
    let source = &volume.volume_source;
    source.config_map.is_some()
        || source.secret.is_some()
        || source.projected.is_some()
        || source.downward_api.is_some()
}

async fn keep(context: std::sync::Weak<NodeContext>, mut versions: watch::Receiver<Arc<Pod>>, mut objects: Objects) {
    objects.first_answers().await;
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    loop {
        let mut failed = false;
        {
            // The node keeps its keepers, not the other way round.
            let Some(context) = context.upgrade() else { return };
            let pod = Arc::clone(&versions.borrow_and_update());
            for volume in pod.spec.volumes.iter().filter(|volume| can_change(volume)) {
                if let Err(why) = update(&context, &pod, &objects, volume).await {
                    failed = true;
                    let message = format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name);
                    context.api.event(&pod, "", Warning, "FailedMount", message);
                }
            }
        }
        let retry = async {
            if !failed {
                backoff.reset();
                return std::future::pending().await;
            }
            sleep(backoff.next_delay()).await;
        };
        tokio::select! {
            () = retry => {}
            () = objects.changed() => {}
            changed = versions.changed() => if changed.is_err() { return },
        }
    }
}

async fn update(context: &NodeContext, pod: &Arc<Pod>, objects: &Objects, volume: &Volume) -> Result<(), String> {
    let Some(files) = content_of(context, pod, objects, volume)? else { return Ok(()) };
    let at = context
        .volumes
        .files
        .as_ref()
        .and_then(|known| known.volume(&pod.metadata.uid, &volume.name, &volume.volume_source));
    match at {
        Some(at) => write(context, pod, at, files).await.map(drop),
        None => Ok(()),
    }
}
