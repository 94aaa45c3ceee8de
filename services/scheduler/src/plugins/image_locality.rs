//! ImageLocality: a node that has a pod's images already starts it sooner.

use std::sync::Arc;

use crate::cache::{NodeInfo, Snapshot};
use crate::framework::{
    ClusterEvent, CycleState, ExtensionPoints, Hint, MAX_NODE_SCORE, Plugin, PreScore, PreScored, Score,
};
use crate::pod_info::PodInfo;

const MIB: i64 = 1 << 20;
/// Less than this is pulled in no time. Kubernetes' numbers, both.
const MIN_BYTES: i64 = 23 * MIB;
/// More than this, per container, makes no further difference.
const MAX_BYTES_PER_CONTAINER: i64 = 1000 * MIB;

/// See <https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins>.
#[derive(Debug)]
pub struct ImageLocality;

/// The pod's images, by the names that nodes report, one per container, with the share of all nodes that have it.
struct Images(Vec<(String, f64)>);

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.pre_score(self.clone()).score(self);
    }

    /// It rejects nothing.
    fn hint(&self, _: &PodInfo, _: &ClusterEvent) -> Hint {
        Hint::Skip
    }
}

impl PreScore for ImageLocality {
    #[expect(clippy::cast_precision_loss, reason = "numbers of nodes are small")]
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, _: &[&Arc<NodeInfo>], snapshot: &Snapshot) -> PreScored {
        let spec = &pod.pod.spec;
        let all = snapshot.nodes().len().max(1) as f64;
        let containers = spec.init_containers.iter().chain(&spec.containers);
        let images = containers.map(|container| {
            let name = full_name(&container.image);
            let share = snapshot.nodes_with_image(&name) as f64 / all;
            (name, share)
        });
        let images: Vec<_> = images.collect();
        if images.iter().all(|(_, share)| *share == 0.0) {
            return PreScored::Skip;
        }
        state.put(Images(images));
        PreScored::Proceed
    }
}

impl Score for ImageLocality {
    /// The bytes that need not be pulled. An image counts by how many nodes have it, so that not all pods follow the first
    /// one to its node.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "megabytes need not be exact")]
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let Some(Images(images)) = state.get() else { return 0 };
        let present = images.iter().filter_map(|(name, share)| Some(*node.images().get(name)? as f64 * share));
        let bytes: i64 = present.map(|bytes| bytes as i64).sum();
        let max = MAX_BYTES_PER_CONTAINER * i64::try_from(images.len()).unwrap_or(1);
        MAX_NODE_SCORE * (bytes.clamp(MIN_BYTES, max) - MIN_BYTES) / (max - MIN_BYTES)
    }
}

/// An image without tag or digest is its `latest`.
fn full_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || image.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod, scores};

    #[test]
    fn a_node_with_the_image_is_better_the_more_so_the_bigger_it_is() {
        let nodes = [
            node("big").image("registry:5000/ai:v1", 800 * MIB),
            node("both").image("registry:5000/ai:v1", 800 * MIB).image("nginx:latest", 30 * MIB),
            node("none"),
            node("small").image("nginx:latest", 30 * MIB),
        ];
        let image = |image| scores(&ImageLocality, &pod("p").container_image(image).info(), &nodes);
        // 400 MiB count of 800, for half of the nodes have it: (400 - 23) / (1000 - 23).
        assert_eq!(image("registry:5000/ai:v1"), Some(vec![38, 38, 0, 0]));
        assert_eq!(image("nginx"), Some(vec![0, 0, 0, 0]), "15 MiB are not worth it");
        assert_eq!(image("unheard-of"), None);
    }

    #[test]
    fn a_port_is_no_tag() {
        for (image, full) in [
            ("nginx", "nginx:latest"),
            ("nginx:1.27", "nginx:1.27"),
            ("registry:5000/nginx", "registry:5000/nginx:latest"),
            ("nginx@sha256:abc", "nginx@sha256:abc"),
        ] {
            assert_eq!(full_name(image), full);
        }
    }
}
