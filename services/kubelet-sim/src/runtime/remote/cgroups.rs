//! Where a pod is among the machine's control groups, in the words of whoever makes them for the runtime.
//!
//! A runtime of the driver `cgroupfs` takes paths; one of the driver `systemd` takes names of slices, and refuses everything else, as the other
//! does with slices. Runtimes say which they use since containerd 2.0; of older ones the operator must know.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tonic::Code;

use super::RemoteRuntime;
use super::connection::REQUEST;
use super::leftovers::absent_is_fine;
use crate::cri;
use crate::runtime::Result;

/// Who makes control groups for a runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CgroupDriver {
    /// The runtime itself.
    #[default]
    Cgroupfs,
    /// systemd, on the runtime's behalf (`SystemdCgroup = true` of containerd).
    Systemd,
}

impl CgroupDriver {
    /// The parent of a pod's containers, from `/kubepods/burstable/pod<uid>`.
    fn parent(self, path: &str) -> String {
        match self {
            Self::Cgroupfs => path.to_owned(),
            Self::Systemd => slice(path),
        }
    }
}

impl RemoteRuntime {
    /// Calls the parent group of a pod what the runtime's driver calls it.
    pub(super) async fn name_cgroup(&self, pod: Option<&mut cri::PodSandboxConfig>) -> Result<()> {
        if let Some(linux) = pod.and_then(|pod| pod.linux.as_mut()).filter(|linux| !linux.cgroup_parent.is_empty()) {
            let driver = self.cgroups_used.get_or_try_init(|| self.cgroup_driver()).await?;
            linux.cgroup_parent = driver.parent(&linux.cgroup_parent);
        }
        Ok(())
    }

    /// The runtime's word counts more than the operator's, as in Kubernetes.
    async fn cgroup_driver(&self) -> Result<CgroupDriver> {
        let mut client = self.containers.clone();
        match self.socket.within(REQUEST, client.runtime_config(cri::RuntimeConfigRequest {})).await {
            Ok(answer) => Ok(match answer.linux.unwrap_or_default().cgroup_driver() {
                cri::CgroupDriver::Systemd => CgroupDriver::Systemd,
                cri::CgroupDriver::Cgroupfs => CgroupDriver::Cgroupfs,
            }),
            Err(error) if error.code == Code::Unimplemented => Ok(self.cgroups_assumed),
            Err(error) => Err(error),
        }
    }
}

/// A path as slices, each in the one before, which its name begins with.
fn slice(path: &str) -> String {
    let (mut name, mut slices) = (String::new(), String::new());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('-');
        }
        // A dash would begin another slice.
        name.push_str(&part.replace('-', "_"));
        slices = format!("{slices}/{name}.slice");
    }
    slices
}

/// Removes the control group of a pod, whatever its class, under every controller, whoever has made it.
pub(super) fn remove(root: &Path, uid: &str) -> io::Result<()> {
    let mut hierarchies: Vec<PathBuf> = vec![root.to_owned()];
    for entry in fs::read_dir(root)? {
        hierarchies.push(entry?.path());
    }
    for class in ["kubepods", "kubepods/burstable", "kubepods/besteffort"] {
        let pod = format!("{class}/pod{uid}");
        let slice = slice(&pod);
        let of_systemd = hierarchies.iter().map(|hierarchy| hierarchy.join(slice.trim_start_matches('/')));
        if of_systemd.clone().any(|group| group.exists()) {
            stop(slice.rsplit('/').next().unwrap_or_default());
        }
        for group in hierarchies.iter().map(|hierarchy| hierarchy.join(&pod)).chain(of_systemd) {
            // A control group is removed with `rmdir`: its files are not files. Groups below it are the runtime's, and gone with their containers.
            absent_is_fine(fs::remove_dir(group))?;
        }
    }
    Ok(())
}

/// Lets systemd forget a slice. If it cannot, an empty folder is what is left, and is removed.
fn stop(slice: &str) {
    let _ = Command::new("systemctl").args(["stop", "--", slice]).stdin(Stdio::null()).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_driver_has_its_names() {
        let path = "/kubepods/besteffort/pod5e0f-8c9a";
        assert_eq!(CgroupDriver::Cgroupfs.parent(path), path);
        assert_eq!(
            CgroupDriver::Systemd.parent(path),
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod5e0f_8c9a.slice"
        );
        assert_eq!(CgroupDriver::Systemd.parent("/kubepods/podu1"), "/kubepods.slice/kubepods-podu1.slice");
    }

    #[test]
    fn with_a_pod_go_its_control_groups_under_every_controller() {
        let root = tempfile::tempdir().unwrap();
        let gone = [
            "memory/kubepods/besteffort/podtest-1",
            "cpu/kubepods/podtest-1",
            "kubepods/burstable/podtest-1",
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podtest_1.slice",
        ];
        for group in gone.into_iter().chain(["cpu/kubepods/podtest-2"]) {
            fs::create_dir_all(root.path().join(group)).unwrap();
        }
        fs::write(root.path().join("cgroup.procs"), "").unwrap();
        remove(root.path(), "test-1").unwrap();
        for group in gone {
            assert!(!root.path().join(group).exists(), "{group}");
        }
        assert!(root.path().join("cpu/kubepods/podtest-2").exists());
    }
}
