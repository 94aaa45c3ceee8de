//! DefaultBinder: tells the apiserver which node a pod goes to.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Binding as BindingObject, ObjectReference, Pod};
use api::{Error, Reason};
use async_trait::async_trait;
use client::Api;
use service_kit::{Backoff, Shutdown};
use tracing::debug;

use crate::framework::{Bind, Binding, ClusterEvent, CycleState, ExtensionPoints, Hint, Plugin, Rejection, Verdict};
use crate::pod_info::PodInfo;

/// Creates a `Binding`. An answer that leaves open whether it was committed is followed up until that is known, so that a
/// rejection always means: this pod is not on that node.
#[derive(Debug)]
pub struct DefaultBinder {
    pods: Api<Pod>,
    shutdown: Shutdown,
}

impl DefaultBinder {
    /// Binds through `pods`. At shutdown it stops asking about bindings in doubt.
    pub fn new(pods: Api<Pod>, shutdown: Shutdown) -> Self {
        Self { pods, shutdown }
    }

    /// Finds out what became of a binding whose answer was lost: `Ok` if the pod is on the node.
    async fn settle(&self, pod: &PodInfo, node: &str, doubt: Error) -> Result<(), Error> {
        let pods = self.pods.within(pod.namespace());
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2)).with_jitter(0.2);
        let asking = async {
            loop {
                match pods.get(pod.name()).await {
                    Ok(now) if now.metadata.uid == *pod.uid && now.spec.node_name == node => return Ok(()),
                    Err(error) if is_in_doubt(&error) => {
                        let delay = backoff.next_delay();
                        debug!(%pod, node, %error, ?delay, "cannot find out whether the pod was bound, asking again");
                        tokio::time::sleep(delay).await;
                    }
                    Ok(_) | Err(_) => return Err(doubt.clone()),
                }
            }
        };
        self.shutdown.run_until_triggered(asking).await.unwrap_or_else(|| Err(doubt.clone()))
    }
}

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        "DefaultBinder"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.bind(self);
    }

    /// A binding that fails is an error and comes back by itself.
    fn hint(&self, _: &PodInfo, _: &ClusterEvent) -> Hint {
        Hint::Skip
    }
}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, _: &CycleState, pod: &PodInfo, node: &str) -> Verdict<Binding> {
        let answer = self.pods.bind(&binding(pod, node)).await;
        let settled = match answer {
            Ok(_) => Ok(()),
            Err(doubt) if is_in_doubt(&doubt) => self.settle(pod, node, doubt).await,
            Err(error) => Err(error),
        };
        settled.map(|()| Binding::Bound).map_err(|error| Rejection::error(error.message))
    }
}

/// Whether the request may have taken effect although it failed.
fn is_in_doubt(error: &Error) -> bool {
    matches!(
        error.reason,
        Reason::ServiceUnavailable | Reason::Timeout | Reason::ServerTimeout | Reason::InternalError | Reason::Unknown
    )
}

fn binding(pod: &PodInfo, node: &str) -> BindingObject {
    let mut binding = BindingObject::default();
    binding.metadata.namespace = pod.namespace().to_owned();
    binding.metadata.name = pod.name().to_owned();
    // A pod that was replaced by another of its name is not meant.
    binding.metadata.uid = pod.uid.to_string();
    binding.target = ObjectReference { kind: "Node".to_owned(), name: node.to_owned(), ..ObjectReference::default() };
    binding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[test]
    fn a_binding_names_pod_and_node() {
        let binding = binding(&pod("web").info(), "node-a");
        assert_eq!((binding.metadata.namespace.as_str(), binding.metadata.name.as_str()), ("default", "web"));
        assert_eq!((binding.target.kind.as_str(), binding.target.name.as_str()), ("Node", "node-a"));
        assert_eq!(binding.metadata.uid, "uid-web");
    }

    #[test]
    fn a_conflict_is_certain_and_a_lost_answer_is_not() {
        assert!(!is_in_doubt(&Error::not_found("", "pods", "web")));
        assert!(!is_in_doubt(&Error::conflict("", "pods", "web", "pod web is already assigned to node \"b\"")));
        assert!(is_in_doubt(&Error::unavailable("apiserver is away")));
    }
}
