//! What a container's processes may not do, and how much they may use.
//!
//! | what | how |
//! |---|---|
//! | they are nobody on the machine | a user namespace: the container's users are a range of 65,536 that nobody else has, one range per pod ([`users`]) |
//! | they gain nothing | `no_new_privs`, always; a bounded set of capabilities, which count in the user namespace only ([`capabilities`]) |
//! | they use no more than they may | a control group per container in one of its pod ([`cgroup`]), or limits per process where there are none |
//!
//! Decided by the engine ([`Confinement::of`]), which may refuse; carried out in the sandbox process and its children from the same data.
//! A pod that asks for the machine itself (host namespaces, `privileged`) gets it where the operator allowed that, and else an
//! error that names the field and the flag. What a container sees of `/proc` and `/sys` is not decided here.

mod apply;
pub mod capabilities;
pub mod cgroup;
#[cfg(test)]
mod tests;
pub mod users;

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tonic::Code;
use tracing::warn;

use crate::cri;
use crate::runtime::{Result, RuntimeError};

pub use cgroup::{Cgroup, Usage};
use users::UserRanges;

/// What the operator allows on this node.
#[derive(Debug)]
pub struct Policy {
    allow_privileged: bool,
    pod_max_pids: i64,
    users: UserRanges,
    control_groups: bool,
}

/// What one container is confined to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The first of the machine's users that the container's users are; `None`: they are the machine's own.
    users: Option<u32>,
    /// A bit per capability that may be had at all.
    capabilities: u64,
    limits: Limits,
    /// Where the pod's control group is, below ours; `None` where there are no control groups.
    control_group: Option<PathBuf>,
}

/// How much a container may use; 0 of anything is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads of the pod.
    pub pids: u64,
    /// Bytes.
    pub memory: u64,
    /// Microseconds of CPU time in each period.
    pub cpu_quota: u64,
    /// Microseconds.
    pub cpu_period: u64,
    /// Of CPU time when there is too little of it: 1024 for one CPU.
    pub cpu_shares: u64,
    /// How readily the kernel kills it when memory runs out, -1000 to 1000.
    pub oom_score_adj: i32,
}

impl Policy {
    /// The policy of a node whose state is kept in `root`. Says once what of it this machine cannot do. `pod_max_pids` below 1 is no limit.
    pub fn open(allow_privileged: bool, pod_max_pids: i64, root: &Path) -> Self {
        let control_groups = cgroup::available();
        if !control_groups {
            warn!(
                "control groups cannot be made here: memory and processes are limited per process and not per \
                 container, CPU time is not, and there are no statistics"
            );
        }
        Self { allow_privileged, pod_max_pids, users: UserRanges::open(root), control_groups }
    }

    /// Whether a sandbox may be made. The error names the field and the flag.
    pub fn admit(&self, pod: &cri::PodSandboxConfig) -> Result<()> {
        match host_field(pod) {
            Some(field) if !self.allow_privileged => Err(refusal(&format!("spec.{field}: true"))),
            _ => Ok(()),
        }
    }

    /// What the first user of a pod is on this machine, if the pod has users of its own: the same for the pod's whole life.
    pub fn first_user(&self, pod_uid: &str) -> io::Result<u32> {
        self.users.take(pod_uid)
    }

    /// Gives a pod's users back. For when nothing of the pod is left, volumes neither. Idempotent.
    pub fn release(&self, pod_uid: &str) {
        self.users.release(pod_uid);
    }

    /// Gives back the users of all pods of this node but these: what a dead predecessor left.
    pub fn retain(&self, pod_uids: &[&str]) {
        self.users.retain(pod_uids);
    }
}

impl Confinement {
    /// What a container of a pod is confined to.
    pub fn of(policy: &Policy, pod: &cri::PodSandboxConfig, container: &cri::ContainerConfig) -> Result<Self> {
        policy.admit(pod)?;
        let linux = container.linux.clone().unwrap_or_default();
        let security = linux.security_context.unwrap_or_default();
        if security.privileged && !policy.allow_privileged {
            return Err(refusal("securityContext.privileged: true"));
        }
        let capabilities = match security.privileged {
            true => capabilities::all(),
            false => {
                let asked = security.capabilities.unwrap_or_default();
                capabilities::of(&asked.add_capabilities, &asked.drop_capabilities, policy.allow_privileged)?
            }
        };
        let uid = pod.metadata.as_ref().map(|metadata| metadata.uid.as_str()).unwrap_or_default();
        let own_users = host_field(pod).is_none() && !security.privileged;
        let users = own_users.then(|| policy.users.take(uid)).transpose();
        let users = users.map_err(|error| {
            RuntimeError::unknown(format!("failed to create user namespace for pod {uid:?}: {error}"))
        })?;
        let parent = pod.linux.as_ref().map(|linux| linux.cgroup_parent.trim_matches('/')).filter(|p| !p.is_empty());
        let parent = parent.map_or_else(|| format!("pod{uid}"), str::to_owned);
        Ok(Self {
            users,
            capabilities,
            limits: Limits::of(&linux.resources.unwrap_or_default(), policy.pod_max_pids),
            control_group: policy.control_groups.then(|| parent.into()),
        })
    }

    /// Makes the container's control group. In the sandbox process, before the container's first process is there.
    pub fn prepare(&self, container_id: &str) -> io::Result<Cgroup> {
        let group = self.cgroup(container_id);
        if self.control_group.is_some() {
            group.make(&self.limits)?;
        }
        Ok(group)
    }

    /// The container's control group as it was made before, perhaps by an earlier process. It need not exist any more.
    pub fn cgroup(&self, container_id: &str) -> Cgroup {
        match &self.control_group {
            Some(pod) => Cgroup::of(&pod.join(container_id)),
            None => Cgroup::none(),
        }
    }

    /// Whether the container has users of its own: its first process must then enter a new user namespace and wait for
    /// [`map_users`](Self::map_users).
    pub fn user_namespace(&self) -> bool {
        self.users.is_some()
    }

    /// Says which users those of the new namespace of `pid` are. By the parent, as the machine's root.
    pub fn map_users(&self, pid: Pid) -> io::Result<()> {
        match self.users {
            Some(first) => users::map(pid, first),
            None => Ok(()),
        }
    }

    /// The machine's user that a user of the container is. One beyond the range is nobody.
    pub fn host_uid(&self, uid: u32) -> u32 {
        self.users.map_or(uid, |first| first + uid.min(users::NOBODY))
    }

    /// As [`host_uid`](Self::host_uid), for groups: the ranges are the same.
    pub fn host_gid(&self, gid: u32) -> u32 {
        self.host_uid(gid)
    }

    /// Confines this process, last before it becomes the command: limits, groups, user, capabilities, `no_new_privs`. In a process with a
    /// single thread, and in its user namespace if it gets one.
    pub fn apply(&self, uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
        apply::apply(self, uid, gid, groups)
    }
}

impl Limits {
    fn of(resources: &cri::LinuxContainerResources, pod_max_pids: i64) -> Self {
        let amount = |value: i64| u64::try_from(value).unwrap_or(0);
        Self {
            pids: amount(pod_max_pids),
            memory: amount(resources.memory_limit_in_bytes),
            cpu_quota: amount(resources.cpu_quota),
            cpu_period: amount(resources.cpu_period),
            cpu_shares: amount(resources.cpu_shares),
            oom_score_adj: i32::try_from(resources.oom_score_adj).unwrap_or(0).clamp(-1_000, 1_000),
        }
    }
}

/// The field by which a pod asks for a namespace of the machine. User namespaces are the default here, so one must say `hostUsers: true`.
fn host_field(pod: &cri::PodSandboxConfig) -> Option<&'static str> {
    let security = pod.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let options = security.and_then(|security| security.namespace_options.clone()).unwrap_or_default();
    let node = cri::NamespaceMode::Node;
    let users = options.userns_options.as_ref().is_some_and(|users| users.mode() == node);
    [
        (options.network() == node, "hostNetwork"),
        (options.pid() == node, "hostPID"),
        (options.ipc() == node, "hostIPC"),
        (users, "hostUsers"),
    ]
    .into_iter()
    .find_map(|(asked, field)| asked.then_some(field))
}

fn refusal(what: &str) -> RuntimeError {
    let message = format!(
        "{what} is not allowed on this node: it would reach the machine that the pod runs on (its kubelet allows it with \
         --allow-privileged)"
    );
    RuntimeError { code: Code::PermissionDenied, message }
}
