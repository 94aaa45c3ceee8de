//! When each node last gave a sign of life, by our own clock.

use api::coordination::v1::Lease;
use api::core::v1::Node;
use api::meta::v1::{MicroTime, Time};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::time::Instant;

/// Namespace of the leases that kubelets renew; each has its node's name.
pub(super) const LEASES: &str = "kube-node-lease";

#[derive(Debug, Default)]
pub(super) struct Signs {
    by_node: Mutex<HashMap<String, Sign>>,
}

#[derive(Debug)]
struct Sign {
    /// When it was seen.
    at: Instant,
    /// What the node wrote: only a new value is a new sign, however often the same is told.
    renewed: Option<MicroTime>,
    posted: Option<Time>,
}

impl Signs {
    /// A node as it is told; new ones count as alive.
    pub(super) fn node(&self, node: &Node, now: Instant) {
        let posted = super::plan::ready(node).and_then(|ready| ready.last_heartbeat_time);
        let mut by_node = self.by_node.lock();
        let sign = by_node.entry(node.metadata.name.clone()).or_insert(Sign { at: now, renewed: None, posted });
        if sign.posted != posted {
            *sign = Sign { at: now, posted, ..*sign };
        }
    }

    /// A lease as it is told.
    pub(super) fn lease(&self, lease: &Lease, now: Instant) {
        if lease.metadata.namespace != LEASES {
            return;
        }
        let renewed = lease.spec.renew_time;
        if let Some(sign) = self.by_node.lock().get_mut(&lease.metadata.name)
            && sign.renewed != renewed
        {
            *sign = Sign { at: now, renewed, ..*sign };
        }
    }

    /// The last sign of a node.
    pub(super) fn last(&self, node: &str) -> Option<Instant> {
        self.by_node.lock().get(node).map(|sign| sign.at)
    }

    pub(super) fn forget(&self, node: &str) {
        self.by_node.lock().remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn n2_only_something_new_is_a_sign_of_life() {
        let signs = Signs::default();
        let (mut node, mut lease) = (Node::default(), Lease::default());
        node.metadata.name = "n1".to_owned();
        lease.metadata.name = "n1".to_owned();
        lease.metadata.namespace = LEASES.to_owned();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        signs.lease(&lease, at(0));
        assert_eq!(signs.last("n1"), None, "a lease without a node");
        signs.node(&node, at(1));
        signs.node(&node, at(2));
        assert_eq!(signs.last("n1"), Some(at(1)), "told twice, seen once");
        lease.spec.renew_time = Some(jiff::Timestamp::UNIX_EPOCH.into());
        signs.lease(&lease, at(3));
        signs.lease(&lease, at(4));
        assert_eq!(signs.last("n1"), Some(at(3)));
        lease.metadata.namespace = "kube-system".to_owned();
        lease.spec.renew_time = None;
        signs.lease(&lease, at(5));
        assert_eq!(signs.last("n1"), Some(at(3)), "another lease of that name");
        signs.forget("n1");
        assert_eq!(signs.last("n1"), None);
    }
}
