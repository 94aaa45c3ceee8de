//! Removing what was chosen.

use std::collections::HashSet;
use std::sync::Arc;

use controller::EventType::Warning;
use controller::Recorder;
use tracing::{debug, info, warn};

use super::records::{Choice, Policy, Records};
use crate::cri;
use crate::eviction::{POD_UID, usages};
use crate::pod::NodeContext;
use crate::runtime::RuntimeError;

/// The image garbage collector of a node.
pub struct Collector {
    context: Arc<NodeContext>,
    /// Events about the node.
    recorder: Recorder,
    policy: Policy,
    /// The disk in bytes.
    capacity: i64,
    records: Records,
    /// The last collection failed: the next failure is told.
    failed: bool,
}

impl Collector {
    /// Nothing is known of any image yet.
    pub fn new(context: Arc<NodeContext>, recorder: Recorder, policy: Policy, capacity: i64) -> Self {
        Self { context, recorder, policy, capacity, records: Records::default(), failed: false }
    }

    /// Removes what is outdated, and more if the disk is too full. Whoever runs this again and again hears of every failure but a first one,
    /// which may come from a runtime that is not up yet.
    pub async fn collect(&mut self) {
        match self.try_collect().await {
            Ok(()) => self.failed = false,
            Err(error) => {
                warn!(node = self.context.name, error, "image garbage collection failed");
                if std::mem::replace(&mut self.failed, true) {
                    self.tell("ImageGCFailed", &error);
                }
            }
        }
    }

    async fn try_collect(&mut self) -> Result<(), String> {
        self.take_in().await.map_err(|error| error.to_string())?;
        let outdated = self.records.outdated(&self.policy, self.context.clock.now());
        let (_, errors) = self.remove(outdated).await;
        if !errors.is_empty() {
            return Err(errors.join(", "));
        }
        if self.capacity == 0 {
            let message = "invalid capacity 0 on image filesystem";
            self.tell("InvalidDiskCapacity", message);
            return Err(message.to_owned());
        }
        let used = disk_usage(&self.context).await.map_err(|error| error.to_string())?;
        let available = self.capacity.saturating_sub(used).max(0);
        let Some(wanted) = self.policy.to_free(self.capacity, available) else { return Ok(()) };
        info!(node = self.context.name, wanted, "the disk is too full; removing images");
        let freed = self.free(wanted).await?;
        if freed < wanted {
            let message = format!(
                "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
            );
            self.tell("FreeDiskSpaceFailed", &message);
            return Err(message);
        }
        Ok(())
    }

    /// Removes every image that may go.
    ///
    /// # Errors
    /// What could not be removed, and why.
    pub async fn delete_unused(&mut self) -> Result<(), String> {
        self.free(i64::MAX).await.map(drop)
    }

    /// Frees so many bytes, if there are so many that may go. Answers how many were freed.
    async fn free(&mut self, wanted: i64) -> Result<i64, String> {
        let now = self.take_in().await.map_err(|error| error.to_string())?;
        let chosen = self.records.choose(&self.policy, wanted, now);
        let (freed, errors) = self.remove(chosen).await;
        if errors.is_empty() {
            return Ok(freed);
        }
        let errors = errors.join(", ");
        Err(format!(
            "wanted to free {wanted} bytes, but freed {freed} bytes space with errors in image deletion: {errors}"
        ))
    }

    /// Removes images. Answers how many bytes they had, and what went wrong.
    async fn remove(&mut self, chosen: Vec<Choice>) -> (i64, Vec<String>) {
        let (mut freed, mut errors) = (0_i64, Vec::new());
        for Choice { id, size } in chosen {
            info!(node = self.context.name, image = id, bytes = size, "removing an image that nobody uses");
            let spec = cri::ImageSpec { image: id.clone(), ..cri::ImageSpec::default() };
            match self.context.runtime.images.remove_image(spec).await {
                Ok(()) => {
                    self.records.forget(&id);
                    freed = freed.saturating_add(size);
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        (freed, errors)
    }

    /// Takes in what is there now. Later ones are new; a runtime that does not answer has nothing yet.
    pub async fn look(&mut self) {
        if let Err(error) = self.take_in().await {
            debug!(node = self.context.name, %error, "the images cannot be listed");
        }
    }

    async fn take_in(&mut self) -> Result<jiff::Timestamp, RuntimeError> {
        let runtime = &self.context.runtime;
        let images = runtime.images.list_images().await?;
        let containers = runtime.containers.list_containers(None).await?;
        // What is over never starts again; Kubernetes removes such containers before it removes images.
        let is_over = |container: &cri::Container| {
            let exited = container.state() == cri::ContainerState::ContainerExited;
            let admitted = self.context.admitted.lock();
            exited && container.labels.get(POD_UID).is_some_and(|uid| !admitted.contains_key(uid))
        };
        let names = |container: cri::Container| {
            let image = container.image.map(|image| image.image);
            [container.image_ref, container.image_id].into_iter().chain(image)
        };
        let in_use: HashSet<String> =
            containers.into_iter().filter(|container| !is_over(container)).flat_map(names).collect();
        let now = self.context.clock.now();
        self.records.look(&images, &in_use, now);
        Ok(now)
    }

    fn tell(&self, reason: &str, message: &str) {
        self.recorder.record(self.context.node.borrow().as_ref(), Warning, reason, message);
    }
}

/// What images, writable layers and volumes take up, in bytes.
pub async fn disk_usage(context: &NodeContext) -> Result<i64, RuntimeError> {
    let stats = context.runtime.containers.list_container_stats(None).await?;
    let layers: i64 = usages(&stats).values().map(crate::eviction::PodUsage::disk).sum();
    Ok(image_bytes(context).await?.saturating_add(layers))
}

/// What images take up, in bytes.
pub async fn image_bytes(context: &NodeContext) -> Result<i64, RuntimeError> {
    let info = context.runtime.images.image_fs_info().await?;
    let used = info.image_filesystems.iter().filter_map(|usage| usage.used_bytes).map(|bytes| bytes.value).sum::<u64>();
    Ok(i64::try_from(used).unwrap_or(i64::MAX))
}
