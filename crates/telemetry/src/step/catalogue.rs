//! The table itself. One line per step: variant, id, who, the span that carries it, what happens.
//!
//! The order is the order of the documentation and, within one component, the causal order.

use super::Entry;

/// Expands the table into the enum and its look-ups, so that a row cannot be half added.
macro_rules! catalogue {
    ($($variant:ident $(($index:ty))?: $id:literal, $who:literal, $span:literal, $what:literal;)*) => {
        /// A step of a journey (TRACES section 3). Steps that exist once per container carry the container's index.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Step {
            $(
                #[doc = concat!("`", $id, "` (", $who, "): ", $what, ".")]
                $variant $(($index))?,
            )*
        }

        impl Step {
            /// Every step once, indexed ones with index 0, in the catalogue's order.
            pub fn all() -> &'static [Self] {
                &[$(catalogue!(@first $variant $(($index))?)),*]
            }

            pub(super) fn entry(self) -> Entry {
                match self {
                    $(Self::$variant { .. } => Entry {
                        id: $id,
                        indexed: catalogue!(@indexed $($index)?),
                        who: $who,
                        span: $span,
                        what: $what,
                    },)*
                }
            }

            /// The container's index, for a step that has one.
            pub fn index(self) -> Option<u32> {
                match self {
                    $(catalogue!(@bind i $variant $(($index))?) => catalogue!(@index i $($index)?),)*
                }
            }

            /// The same step for another container; a step without index stays as it is.
            pub fn with_index(self, index: u32) -> Self {
                let _ = index;
                match self {
                    $(Self::$variant { .. } => catalogue!(@with index $variant $(($index))?),)*
                }
            }
        }
    };
    (@first $variant:ident) => { Step::$variant };
    (@first $variant:ident ($index:ty)) => { Step::$variant(0) };
    (@with $i:ident $variant:ident) => { Step::$variant };
    (@with $i:ident $variant:ident ($index:ty)) => { Step::$variant($i) };
    (@bind $i:ident $variant:ident) => { Step::$variant };
    (@bind $i:ident $variant:ident ($index:ty)) => { Step::$variant($i) };
    (@index $i:ident) => { None };
    (@index $i:ident $index:ty) => { Some($i) };
    (@indexed) => { false };
    (@indexed $index:ty) => { true };
}

catalogue! {
    PodCreate1: "pod.create.1", "client", "traceplane.v1.Pods/Create", "request sent";
    PodCreate2a: "pod.create.2a", "apiserver", "authenticate", "who is asking: certificate or token";
    PodCreate2b: "pod.create.2b", "apiserver", "authorize", "may they do this";
    PodCreate2c: "pod.create.2c", "apiserver", "admit", "admission: defaults and policy, one child per plugin";
    PodCreate2d: "pod.create.2d", "apiserver", "validate", "the object is checked field by field";
    PodCreate2e: "pod.create.2e", "apiserver to etcd", "etcd txn", "transaction committed, the revision is known";
    PodCreate2f: "pod.create.2f", "apiserver", "respond", "answered with the stored object";
    PodCreate3a: "pod.create.3a", "scheduler", "watch", "the new pod is delivered by the watch";
    PodCreate3b: "pod.create.3b", "scheduler", "queue", "waits in the scheduling queue";
    PodCreate3c: "pod.create.3c", "scheduler", "filter", "nodes that cannot take the pod are ruled out";
    PodCreate3d: "pod.create.3d", "scheduler", "score", "the remaining nodes are ranked";
    PodCreate3e: "pod.create.3e", "scheduler", "traceplane.v1.Pods/Bind", "binding sent";
    PodCreate4a: "pod.create.4a", "apiserver to etcd", "etcd txn", "binding committed: spec.nodeName is set";
    PodCreate4b: "pod.create.4b", "scheduler", "watch", "sees its own binding, the assumption is confirmed";
    PodCreate5a: "pod.create.5a", "kubelet", "watch", "the bound pod is delivered by the watch";
    PodCreate5b: "pod.create.5b", "kubelet", "sync pod", "the pod worker starts, admission on the node";
    PodCreate5c: "pod.create.5c", "runtime", "run sandbox", "sandbox (pause) created, network attached";
    PodCreate5d: "pod.create.5d", "runtime", "mount volumes", "volumes, config maps and secrets mounted";
    PodCreate5e(u32): "pod.create.5e", "runtime", "run init container", "init container i: pull, create, start, exit";
    PodCreate5f(u32): "pod.create.5f", "runtime", "start container", "container i: pull, create, start";
    PodCreate5g(u32): "pod.create.5g", "kubelet", "postStart hook", "container i: postStart hook returned";
    PodCreate5h(u32): "pod.create.5h", "kubelet", "startup probe", "container i: startup probe passed";
    PodCreate5i(u32): "pod.create.5i", "kubelet", "readiness probe", "container i: readiness passed";
    PodCreate6a: "pod.create.6a", "kubelet", "traceplane.v1.Pods/UpdateStatus", "status sent: Running, then Ready";
    PodCreate6b: "pod.create.6b", "apiserver to etcd", "etcd txn", "status committed: Running, then Ready";
    PodCreate7a: "pod.create.7a", "endpoints controllers", "sync endpointslice", "the pod's address joins the Service's endpoints";
    PodCreate7b: "pod.create.7b", "kube-proxy", "apply rules", "the rules for the Service are applied";
    PodCreate7c: "pod.create.7c", "DNS", "publish name", "the name answers with the pod";

    WorkloadApply1: "workload.apply.1", "client", "traceplane.v1.Deployments/Create", "request sent";
    WorkloadApply1a: "workload.apply.1a", "apiserver", "authenticate", "who is asking: certificate or token";
    WorkloadApply1b: "workload.apply.1b", "apiserver", "authorize", "may they do this";
    WorkloadApply1c: "workload.apply.1c", "apiserver", "admit", "admission: defaults and policy, one child per plugin";
    WorkloadApply1d: "workload.apply.1d", "apiserver", "validate", "the object is checked field by field";
    WorkloadApply1e: "workload.apply.1e", "apiserver to etcd", "etcd txn", "transaction committed, the revision is known";
    WorkloadApply1f: "workload.apply.1f", "apiserver", "respond", "answered with the stored object";
    WorkloadApply2a: "workload.apply.2a", "deployment controller", "watch", "the Deployment is delivered by the watch";
    WorkloadApply2b: "workload.apply.2b", "deployment controller", "queue", "waits in the work queue";
    WorkloadApply2c: "workload.apply.2c", "deployment controller", "sync deployment", "creates or scales ReplicaSets";
    WorkloadApply3a: "workload.apply.3a", "replicaset controller", "watch", "the ReplicaSet is delivered by the watch";
    WorkloadApply3b: "workload.apply.3b", "replicaset controller", "queue", "waits in the work queue";
    WorkloadApply3c: "workload.apply.3c", "replicaset controller", "sync replicaset", "creates pods, each continues as pod.create";
    WorkloadApply4a: "workload.apply.4a", "controllers", "traceplane.v1.Deployments/UpdateStatus", "status sent: replicas ready, then Available";
    WorkloadApply4b: "workload.apply.4b", "apiserver to etcd", "etcd txn", "status committed: replicas ready, then Available";

    PodDelete1: "pod.delete.1", "client", "traceplane.v1.Pods/Delete", "delete sent, with its grace period";
    PodDelete2: "pod.delete.2", "apiserver to etcd", "etcd txn", "deletionTimestamp and grace period committed";
    PodDelete3: "pod.delete.3", "apiserver", "respond", "answered: from here every reader sees the pod Terminating";
    PodDelete4: "pod.delete.4", "kubelet", "watch", "the deletion is delivered by the watch, termination starts";
    PodDelete5a: "pod.delete.5a", "endpoints controllers", "sync endpointslice", "the pod is taken out of the Service";
    PodDelete5b: "pod.delete.5b", "kube-proxy", "apply rules", "the rules without the pod are applied";
    PodDelete5c: "pod.delete.5c", "DNS", "publish name", "the name no longer answers with the pod";
    PodDelete6a: "pod.delete.6a", "kubelet", "preStop hook", "preStop hook runs, inside the grace period";
    PodDelete6b: "pod.delete.6b", "kubelet", "preStop extension", "the hook outlives the grace period: 2 s more, once";
    PodDelete7(u32): "pod.delete.7", "runtime", "stop container", "SIGTERM to container i, exit";
    PodDelete8(u32): "pod.delete.8", "runtime", "kill container", "SIGKILL to container i, only when grace ran out";
    PodDelete9a: "pod.delete.9a", "kubelet", "remove sandbox", "sandbox stopped and removed";
    PodDelete9b: "pod.delete.9b", "kubelet, apiserver", "etcd txn", "delete with grace 0, the key is removed";
    PodDelete10: "pod.delete.10", "owner's controller", "sync replicaset", "replacement created, continues as pod.create";

    PodRestart1: "pod.restart.1", "kubelet", "container failed", "a probe failed for good, or the container has ended: a new root that links to the pod's creation";
    PodRestart2: "pod.restart.2", "kubelet", "back-off", "waits before the next start, longer each time";
    PodRestart3: "pod.restart.3", "kubelet", "sync pod", "the pod worker runs";
    PodRestart4(u32): "pod.restart.4", "runtime", "stop container", "SIGTERM to container i, exit";
    PodRestart5(u32): "pod.restart.5", "runtime", "kill container", "SIGKILL to container i, only when grace ran out";
    PodRestart6(u32): "pod.restart.6", "runtime", "start container", "container i again: pull, create, start";
    PodRestart7(u32): "pod.restart.7", "kubelet", "postStart hook", "container i: postStart hook returned";
    PodRestart8(u32): "pod.restart.8", "kubelet", "startup probe", "container i: startup probe passed";
    PodRestart9(u32): "pod.restart.9", "kubelet", "readiness probe", "container i: readiness passed";
    PodRestart10a: "pod.restart.10a", "kubelet", "traceplane.v1.Pods/UpdateStatus", "status sent: how the container ended, that it waits, runs, is ready again";
    PodRestart10b: "pod.restart.10b", "apiserver to etcd", "etcd txn", "status committed: the same";
}
