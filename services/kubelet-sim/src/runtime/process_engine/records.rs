//! The state folder: what the engine and its sandbox processes have done, as small JSON files.
//!
//! ```text
//! sandboxes/<id>/   sandbox.json   what it is                                  (engine)
//!                   spec.json      what its process must know                  (engine)
//!                   sock, shm/     its process's socket; memory the pod shares (sandbox process)
//!                   hosts, hostname, resolv.conf
//! containers/<id>/  container.json what it is                                  (engine)
//!                   spec.json      what is to be run                           (engine)
//!                   ended.json     how it ended                                (sandbox process, or the engine for one that is gone)
//!                   root/, termination-log, and the container's own layer
//! ```
//!
//! Each file is replaced as a whole and never synced: it must survive the death of a process, not that of the machine, with which all
//! that runs would be gone as well. A folder whose first file is missing was never finished; nothing in it counts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::images::ImageConfig;
use crate::cri;

pub(super) const SPEC: &str = "spec.json";
pub(super) const ENDED: &str = "ended.json";
const SANDBOX: &str = "sandbox.json";
const CONTAINER: &str = "container.json";

/// A sandbox, as it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SandboxRecord {
    pub(super) id: String,
    pub(super) config: cri::PodSandboxConfig,
    pub(super) runtime_handler: String,
    /// Nanoseconds since 1970.
    pub(super) created_at: i64,
    /// None in the node's own network, and once it is stopped.
    pub(super) address: Option<std::net::Ipv4Addr>,
    /// Whether containers can live in it.
    pub(super) ready: bool,
}

/// A container, as it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    pub(super) id: String,
    pub(super) sandbox: String,
    pub(super) config: cri::ContainerConfig,
    pub(super) image: cri::Image,
    pub(super) image_config: ImageConfig,
    /// Nanoseconds since 1970.
    pub(super) created_at: i64,
    /// Its log file, if it has one.
    pub(super) log: Option<PathBuf>,
}

/// The state folder of one node.
#[derive(Clone, Debug)]
pub(super) struct Records {
    root: PathBuf,
}

impl Records {
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(root.join("sandboxes"))?;
        fs::create_dir_all(root.join("containers"))?;
        Ok(Self { root: fs::canonicalize(root)? })
    }

    pub(super) fn sandbox(&self, id: &str) -> PathBuf {
        self.root.join("sandboxes").join(id)
    }

    pub(super) fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    pub(super) fn write_sandbox(&self, record: &SandboxRecord) -> io::Result<()> {
        write(&self.sandbox(&record.id).join(SANDBOX), record)
    }

    pub(super) fn write_container(&self, record: &ContainerRecord) -> io::Result<()> {
        write(&self.container(&record.id).join(CONTAINER), record)
    }

    /// All that are recorded, and the folders of those whose making was cut short.
    pub(super) fn sandboxes(&self) -> io::Result<(Vec<SandboxRecord>, Vec<PathBuf>)> {
        read_all(&self.root.join("sandboxes"), SANDBOX)
    }

    /// All that are recorded, and the folders of those whose making was cut short.
    pub(super) fn containers(&self) -> io::Result<(Vec<ContainerRecord>, Vec<PathBuf>)> {
        read_all(&self.root.join("containers"), CONTAINER)
    }
}

/// Replaces a file.
pub(super) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, serde_json::to_vec(value)?)?;
    fs::rename(unfinished, path)
}

/// Reads a file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Removes a folder. One that is gone is no error.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn read_all<T: DeserializeOwned>(folder: &Path, file: &str) -> io::Result<(Vec<T>, Vec<PathBuf>)> {
    let (mut records, mut unfinished) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let folder = entry?.path();
        match read(&folder.join(file)) {
            Ok(record) => records.push(record),
            Err(why) if why.kind() == io::ErrorKind::NotFound => unfinished.push(folder),
            Err(why) => return Err(io::Error::new(why.kind(), format!("{}: {why}", folder.join(file).display()))),
        }
    }
    Ok((records, unfinished))
}
