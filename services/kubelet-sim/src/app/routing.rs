//! One watch, many nodes: every change goes to the node that its pod is bound to.

use std::collections::HashMap;
use std::sync::Arc;

use api::core::v1::Pod;
use controller::Change;
use telemetry::Cause;
use tokio::sync::mpsc::UnboundedSender;

use crate::pod::PodChange;
use crate::static_pods::{StaticPods, is_mirror};

/// The nodes of this process by name.
#[derive(Default)]
pub(super) struct Routes {
    nodes: HashMap<String, UnboundedSender<PodChange>>,
    /// Who is told of mirror pods, which nobody runs.
    mirrors: Option<Arc<StaticPods>>,
}

impl Routes {
    pub(super) fn add(&mut self, node: &str, changes: UnboundedSender<PodChange>) {
        self.nodes.insert(node.to_owned(), changes);
    }

    pub(super) fn add_mirrors(&mut self, static_pods: Arc<StaticPods>) {
        self.mirrors = Some(static_pods);
    }

    /// The pods to watch: a single node's own, which is all that its identity may see, or all that are bound.
    pub(super) fn selector(&self) -> String {
        match self.nodes.keys().next() {
            Some(name) if self.nodes.len() == 1 => format!("spec.nodeName={name}"),
            _ => "spec.nodeName!=".to_owned(),
        }
    }

    /// The nodes to watch, by the same reason.
    pub(super) fn node_selector(&self) -> String {
        match self.nodes.keys().next() {
            Some(name) if self.nodes.len() == 1 => format!("metadata.name={name}"),
            _ => String::new(),
        }
    }

    pub(super) fn tell(&self, change: &Change<Pod>, cause: &Cause) {
        match change {
            Change::Added(pod) => self.version(pod, cause),
            Change::Updated { old, new } => {
                if old.metadata.uid != new.metadata.uid {
                    // Deleted and made again between two looks: two pods, one name.
                    self.gone(old, &Cause::default());
                }
                self.version(new, cause);
            }
            Change::Removed(pod) => self.gone(pod, cause),
        }
    }

    pub(super) fn version(&self, pod: &Arc<Pod>, cause: &Cause) {
        if !is_mirror(pod) {
            self.send(pod, || PodChange::Version(Arc::clone(pod), cause.clone()));
        } else if let Some(mirrors) = &self.mirrors {
            mirrors.mirrored(pod);
        }
    }

    pub(super) fn gone(&self, pod: &Arc<Pod>, cause: &Cause) {
        if !is_mirror(pod) {
            self.send(pod, || PodChange::Gone(Arc::clone(pod), cause.clone()));
        } else if let Some(mirrors) = &self.mirrors {
            mirrors.unmirrored(pod);
        }
    }

    pub(super) fn tell_all(&self, change: impl Fn() -> PodChange) {
        for node in self.nodes.values() {
            // A node that has ended hears nothing more.
            let _ = node.send(change());
        }
    }

    /// Tells every node which pods it should have.
    pub(super) fn tell_known(&self, pods: impl IntoIterator<Item = Arc<Pod>>) {
        let mut of_node: HashMap<&str, Vec<Arc<Pod>>> = HashMap::new();
        for pod in pods.into_iter().filter(|pod| !is_mirror(pod)) {
            if let Some((name, _)) = self.nodes.get_key_value(&pod.spec.node_name) {
                of_node.entry(name).or_default().push(pod);
            }
        }
        for (name, pods) in of_node {
            let _ = self.nodes[name].send(PodChange::Known(pods));
        }
    }

    fn send(&self, pod: &Pod, change: impl FnOnce() -> PodChange) {
        if let Some(node) = self.nodes.get(&pod.spec.node_name) {
            let _ = node.send(change());
        }
    }
}
