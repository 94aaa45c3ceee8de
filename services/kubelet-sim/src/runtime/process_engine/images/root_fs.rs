//! A container's root file system: a copy of its image's.
//!
//! A copy, not an overlay: it works on every file system (an overlay cannot lie on another, as it would in a container), its files belong to
//! the pod's own users without any help from the kernel, and what an image holds here is small. It goes with the container's folder.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};

use super::tree;

/// In a container's folder: the copy, and a file as old as it.
const LAYER: &str = "layer";
const MADE: &str = "layer.made";

/// Where a container's files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    layer: PathBuf,
    /// When the copy was complete, by the file system's clock: seconds and nanoseconds since 1970.
    made: (i64, i64),
}

impl RootFs {
    /// Copies the image's files into a container's folder. What an attempt before has left there is replaced.
    pub(super) fn make(image: &Path, folder: &Path, first_user: u32) -> io::Result<Self> {
        let layer = fs::canonicalize(folder)?.join(LAYER);
        tree::remove(&layer)?;
        fs::create_dir(&layer)?;
        tree::copy(image, &layer, first_user)?;
        let marker = folder.join(MADE);
        fs::write(&marker, "")?;
        let about = marker.metadata()?;
        Ok(Self { layer, made: (about.ctime(), about.ctime_nsec()) })
    }

    /// Mounts it at a folder, in this process's mount namespace. As the machine's root.
    pub fn mount(&self, at: &Path) -> io::Result<()> {
        Ok(mount(Some(&self.layer), at, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
    }

    /// What the container has written: bytes on the disk and files. A file that was changed counts as a whole.
    pub fn written(&self) -> io::Result<(u64, u64)> {
        tree::changed_since(&self.layer, self.made)
    }
}
