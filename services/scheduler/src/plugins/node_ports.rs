//! NodePorts: two pods on one node cannot take the same port of it.

use std::sync::Arc;

use crate::cache::{NodeInfo, Snapshot};
use crate::framework::{
    ClusterEvent, CycleState, ExtensionPoints, Filter, Hint, Plugin, PreFilter, PreFiltered, Rejection, Verdict,
};
use crate::pod_info::PodInfo;

/// See <https://kubernetes.io/docs/concepts/configuration/overview/#services> (`hostPort`).
#[derive(Debug)]
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.pre_filter(self.clone()).filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        Hint::queue_if(match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::AssignedPodRemoved(other) => other.host_ports.iter().any(|port| collides(pod, port)),
            _ => false,
        })
    }
}

impl PreFilter for NodePorts {
    fn pre_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Verdict<PreFiltered> {
        Ok(if pod.host_ports.is_empty() { PreFiltered::Skip } else { PreFiltered::Proceed })
    }
}

impl Filter for NodePorts {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        if node.used_ports().iter().any(|port| collides(pod, port)) {
            return Err(Rejection::unschedulable("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }
}

fn collides(pod: &PodInfo, taken: &api::host_ports::HostPort) -> bool {
    pod.host_ports.iter().any(|port| port.collides_with(taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestPod, node, pod, reasons};

    #[test]
    fn a_taken_port_rules_a_node_out() {
        let mut info = node("a").info();
        info.add_pod(pod("first").host_port(80).info());
        let state = CycleState::new();
        let filter = |port| reasons(NodePorts.filter(&state, &pod("second").host_port(port).info(), &info));
        assert_eq!(filter(80), "node(s) didn't have free ports for the requested pod ports");
        assert_eq!(filter(81), "");
    }

    #[test]
    fn a_pod_without_ports_is_no_business_of_this_plugin() {
        let pre_filter = |pod: TestPod| NodePorts.pre_filter(&mut CycleState::new(), &pod.info(), &Snapshot::new());
        assert_eq!(pre_filter(pod("web")), Ok(PreFiltered::Skip));
        assert_eq!(pre_filter(pod("web").host_port(80)), Ok(PreFiltered::Proceed));
    }

    #[test]
    fn only_a_pod_that_frees_the_port_helps() {
        let waiting = pod("second").host_port(80).info();
        let gone = |port| ClusterEvent::AssignedPodRemoved(pod("first").host_port(port).info());
        assert_eq!(NodePorts.hint(&waiting, &gone(80)), Hint::Queue);
        assert_eq!(NodePorts.hint(&waiting, &gone(443)), Hint::Skip);
    }
}
