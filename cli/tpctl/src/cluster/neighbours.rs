//! The clusters of this machine. None takes a port or an address that another one has: one that runs, one that is stopped and will come back
//! to its ports, or one that is made at this very moment.
//!
//! A folder that all users share has a link to the state folder of each cluster; what a cluster has stands in its `cluster.json` and nowhere
//! else. Whoever makes a cluster holds the lock on the folder from looking around until that file is written, so that two that begin at once
//! see one another. A link that leads to no such file is of a cluster that is no more, and goes. What other programs use is not known here, and
//! neither is what a user may not read.

use super::record::ClusterRecord;
use anyhow::{Context, Result};
use api::cidr::Cidr;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// The same place whatever the environment says, so that everybody looks there.
const FOLDER: &str = "/tmp/traceplane-clusters";

/// All other clusters, as they are until this is dropped: nobody else makes one in the meantime.
#[derive(Debug)]
pub(crate) struct Neighbours {
    folder: PathBuf,
    /// The cluster whose neighbours these are.
    state: PathBuf,
    is_known: bool,
    others: Vec<ClusterRecord>,
    /// Gives the lock back when it is closed.
    _lock: File,
}

impl Neighbours {
    /// Waits for its turn and looks around, on behalf of the cluster in the folder `state`.
    ///
    /// # Errors
    /// The shared folder cannot be made or read.
    pub(crate) fn of(state: &Path) -> Result<Neighbours> {
        Neighbours::in_folder(Path::new(FOLDER), state)
    }

    fn in_folder(folder: &Path, state: &Path) -> Result<Neighbours> {
        let failed = || format!("cannot look at the other clusters of this machine in {}", folder.display());
        let lock = lock(folder).with_context(failed)?;
        let mut found = Neighbours {
            folder: folder.to_owned(),
            state: state.to_owned(),
            is_known: false,
            others: Vec::new(),
            _lock: lock,
        };
        for entry in fs::read_dir(folder).with_context(failed)? {
            let link = entry.with_context(failed)?.path();
            let Ok(target) = fs::read_link(&link) else { continue };
            match ClusterRecord::read(&target) {
                // Another user's link cannot be removed; it does no harm.
                Ok(None) => _ = fs::remove_file(&link),
                Ok(Some(_)) if target == state => found.is_known = true,
                Ok(Some(cluster)) => found.others.push(cluster),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// Every port that one of them has.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        self.others.iter().flat_map(|cluster| cluster.ports.all()).collect()
    }

    /// Every range of addresses that one of them has for itself.
    pub(crate) fn ranges(&self) -> Vec<Cidr> {
        self.others.iter().filter_map(|cluster| cluster.cluster_cidr.as_ref()?.parse().ok()).collect()
    }

    /// Writes the record of the cluster and lets others see it.
    ///
    /// # Errors
    /// The record or the link to it cannot be written.
    pub(crate) fn join(self, cluster: &ClusterRecord) -> Result<()> {
        cluster.write(&self.state)?;
        if self.is_known {
            return Ok(());
        }
        let made = loop {
            let link = self.folder.join(format!("{:016x}", rand::random::<u64>()));
            match symlink(&self.state, link) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                made => break made,
            }
        };
        made.with_context(|| format!("cannot make the cluster known in {}", self.folder.display()))
    }
}

/// Opens and locks the folder, which is made if it is not there.
fn lock(folder: &Path) -> io::Result<File> {
    match fs::create_dir(folder) {
        // As for /tmp: everybody may add, and remove what is theirs.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o1777))?,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    let file = File::open(folder)?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::ports::{PortChoice, Ports};
    use super::*;
    use std::thread;

    /// Makes a cluster, as `tpctl up --ports free` does.
    fn make(machine: &Path, name: &str, kubelets: usize) -> Ports {
        let state = machine.join(name);
        fs::create_dir_all(&state).unwrap();
        let neighbours = Neighbours::in_folder(&machine.join("clusters"), &state).unwrap();
        let ports = Ports::choose(PortChoice::Free, kubelets, &neighbours.ports()).unwrap();
        neighbours.join(&record(ports.clone())).unwrap();
        ports
    }

    fn record(ports: Ports) -> ClusterRecord {
        ClusterRecord {
            ports,
            nodes: Vec::new(),
            simulated_nodes: 0,
            engine: Default::default(),
            cluster_cidr: Some("10.130.0.0/16".to_owned()),
            processes: Vec::new(),
        }
    }

    #[test]
    fn no_two_clusters_choose_a_port_whether_they_run_or_not_and_begin_at_once_or_not() {
        let machine = tempfile::tempdir().unwrap();
        let make = |number: usize| make(machine.path(), &format!("cluster-{number}"), 30);
        let ports: Vec<Ports> = thread::scope(|scope| {
            let makers: Vec<_> = (0..40).map(|number| scope.spawn(move || make(number))).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        let all: Vec<u16> = ports.iter().flat_map(Ports::all).collect();
        assert_eq!(all.len(), 40 * 39);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a port was given twice");
    }

    #[test]
    fn a_cluster_is_known_until_its_record_is_gone() {
        let machine = tempfile::tempdir().unwrap();
        let folder = machine.path().join("clusters");
        let (first, second) = (machine.path().join("first"), machine.path().join("second"));
        let ports = make(machine.path(), "first", 3);

        let seen = Neighbours::in_folder(&folder, &second).unwrap();
        assert_eq!(seen.ports(), ports.all().collect());
        assert_eq!(seen.ranges(), ["10.130.0.0/16".parse().unwrap()]);
        drop(seen);
        let own = Neighbours::in_folder(&folder, &first).unwrap();
        assert_eq!(own.ports(), BTreeSet::new(), "nobody is its own neighbour");
        own.join(&record(ports)).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "one link, however often it is started");

        fs::remove_dir_all(first).unwrap();
        assert_eq!(Neighbours::in_folder(&folder, &second).unwrap().ports(), BTreeSet::new());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_left_alone() {
        let machine = tempfile::tempdir().unwrap();
        let folder = machine.path().join("clusters");
        make(machine.path(), "first", 3);
        fs::write(machine.path().join("first/cluster.json"), "{").unwrap();
        let seen = Neighbours::in_folder(&folder, &machine.path().join("second")).unwrap();
        assert_eq!(seen.ports(), BTreeSet::new());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
