//! Images: pulled in the time that the catalogue says, present from then on.

use std::sync::Arc;
use std::time::Duration;

use super::VirtualEngine;
use crate::cri;
use crate::runtime::image_name::ImageName;
use crate::runtime::{CONTAINER_NAME, Result, RuntimeError};

impl VirtualEngine {
    pub(super) fn find_image(&self, spec: &cri::ImageSpec) -> Result<Option<Arc<cri::Image>>> {
        // The kubelet puts the pod's annotations on the image it asks for.
        let pod = cri::PodSandboxConfig { annotations: spec.annotations.clone(), ..Default::default() };
        let behaviour = self.behaviour(&spec.image, &pod, container_of(spec))?;
        if let Some(error) = &behaviour.inspect_error {
            return Err(RuntimeError::unknown(error.clone()));
        }
        let state = self.state.lock();
        if spec.image.starts_with("sha256:") {
            return Ok(state.images.values().find(|image| image.id == spec.image).cloned());
        }
        let name = ImageName::parse(&spec.image).map_err(RuntimeError::unknown)?;
        Ok(state.images.get(&name.canonical()).cloned())
    }

    pub(super) async fn bring_image(&self, request: cri::PullImageRequest) -> Result<String> {
        let spec = request.image.unwrap_or_default();
        let pod = request.sandbox_config.unwrap_or_default();
        let name = ImageName::parse(&spec.image)
            .map_err(|why| RuntimeError { code: tonic::Code::InvalidArgument, message: why })?;
        let canonical = name.canonical();
        let behaviour = self.behaviour(&spec.image, &pod, container_of(&spec))?;
        let done = {
            let mut state = self.state.lock();
            let takes =
                if state.images.contains_key(&canonical) { behaviour.resolve_time } else { behaviour.pull_time };
            let done = self.clock.instant() + takes;
            if behaviour.pull_error.is_some() {
                done
            } else {
                let under_way = state.pulls.entry(canonical.clone()).or_insert(done);
                // One that was given up long ago is no pull to join.
                if *under_way + Duration::from_secs(1) < self.clock.instant() {
                    *under_way = done;
                }
                *under_way
            }
        };
        self.clock.sleep_until(done).await;
        if let Some(error) = &behaviour.pull_error {
            return Err(RuntimeError::not_pulled(&canonical, error));
        }
        let mut state = self.state.lock();
        state.pulls.remove(&canonical);
        let image = state.images.entry(canonical.clone()).or_insert_with(|| {
            let image = image(&name, behaviour.size, behaviour.user);
            self.record_image(&canonical, &image);
            Arc::new(image)
        });
        Ok(image.id.clone())
    }

    pub(super) fn drop_image(&self, spec: &cri::ImageSpec) {
        // By its id, as garbage collection asks, or by a name.
        let by_id = {
            let state = self.state.lock();
            state.images.iter().find(|(_, image)| image.id == spec.image).map(|(name, _)| name.clone())
        };
        let by_name = || ImageName::parse(&spec.image).ok().map(|name| name.canonical());
        let Some(canonical) = by_id.or_else(by_name) else { return };
        if self.state.lock().images.remove(&canonical).is_some() {
            self.record_removal(&canonical);
        }
    }
}

/// What an image is called in full; its digest's name if it has no tag.
pub(super) fn name_of(image: &cri::Image) -> &str {
    image.repo_tags.first().or(image.repo_digests.first()).map(String::as_str).unwrap_or_default()
}

fn container_of(spec: &cri::ImageSpec) -> &str {
    spec.annotations.get(CONTAINER_NAME).map(String::as_str).unwrap_or_default()
}

fn image(name: &ImageName, size: u64, user: i64) -> cri::Image {
    let digest = name.digest.clone().unwrap_or_else(|| made_up_digest(&name.canonical(), 1));
    cri::Image {
        id: made_up_digest(&name.canonical(), 2),
        repo_tags: if name.tag.is_some() { vec![name.canonical()] } else { Vec::new() },
        repo_digests: vec![format!("{}/{}@{digest}", name.registry, name.repository)],
        size,
        uid: Some(cri::Int64Value { value: user }),
        ..Default::default()
    }
}

/// Looks like a digest and is the same for the same name everywhere; there is no content that it could be the digest of.
fn made_up_digest(name: &str, salt: u64) -> String {
    let part = |n: u64| {
        // FNV-1a, begun differently for each part.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ (n << 8 | salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash
    };
    format!("sha256:{:016x}{:016x}{:016x}{:016x}", part(1), part(2), part(3), part(4))
}
