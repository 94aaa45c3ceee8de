//! Taints a new node as not ready, so that nothing is scheduled to it before its kubelet has reported. The node lifecycle controller
//! takes the taint away.

use api::core::v1::{Node, Taint};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin, is_about};
use crate::request::RequestContext;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

pub(super) struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn concerns(&self, _: &RequestContext, attributes: &Attributes<'_>) -> bool {
        is_about(attributes, "Node", &[Operation::Create])
    }

    async fn admit(&self, _: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()> {
        if let Some(node) = attributes.object.as_deref_mut().and_then(|object| object.downcast_mut::<Node>()) {
            let taints = &mut node.spec.taints;
            if !taints.iter().any(|taint| taint.key == NOT_READY && taint.effect == NO_SCHEDULE) {
                taints.push(Taint { key: NOT_READY.to_owned(), effect: NO_SCHEDULE.to_owned(), ..Taint::default() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::{CREATE, Request, pass};

    #[tokio::test]
    async fn a_new_node_is_not_ready_once() {
        let mut node = Node::default();
        pass(&TaintNodesByCondition, &CREATE, Some(&mut node), None).await.unwrap();
        assert_eq!((node.spec.taints[0].key.as_str(), node.spec.taints[0].effect.as_str()), (NOT_READY, NO_SCHEDULE));
        pass(&TaintNodesByCondition, &CREATE, Some(&mut node), None).await.unwrap();
        assert_eq!(node.spec.taints.len(), 1);

        let mut known = Node::default();
        let update = Request { operation: Operation::Update, ..CREATE };
        pass(&TaintNodesByCondition, &update, Some(&mut known), Some(&Node::default())).await.unwrap();
        assert!(known.spec.taints.is_empty());
    }
}
