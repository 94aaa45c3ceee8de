//! Finding a part of a volume that a container mounts (`subPath`), without ever leaving the volume.
//!
//! The pod's own containers write into the volume, so what looks like a folder may be a link to `/etc` by the time it is mounted. Two
//! things keep that harmless, as in Kubernetes: the kernel resolves the path and refuses to step out of the volume (`RESOLVE_BENEATH`; a
//! link that stays inside is followed), and what it found is bound to a place that only the kubelet can reach, so nothing is resolved a second
//! time.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};

/// Opens `path` within `volume`; folders that are missing are made with the volume's mode. Blocking.
pub(super) fn open(volume: &Path, path: &str) -> io::Result<OwnedFd> {
    let root = fs::File::open(volume)?;
    let mode = Mode::from_bits_truncate(std::os::unix::fs::PermissionsExt::mode(&root.metadata()?.permissions()));
    let resolve = |path: &Path| {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&root, path, how)
    };
    let mut found = resolve(Path::new("."))?;
    let mut so_far = PathBuf::new();
    for part in parts(path)? {
        so_far.push(part);
        found = match resolve(&so_far) {
            Err(Errno::ENOENT) => {
                // In the folder that was opened, whatever has become of its name.
                match mkdirat(&found, part, mode) {
                    Ok(()) => as_the_volume(&root, &found, part)?,
                    Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                resolve(&so_far)?
            }
            other => other?,
        };
    }
    Ok(found)
}

fn parts(path: &str) -> io::Result<Vec<&OsStr>> {
    let part = |part| match part {
        Component::Normal(name) => Some(Ok(name)),
        Component::CurDir => None,
        _ => Some(Err(io::Error::new(ErrorKind::InvalidInput, format!("{path:?} leaves the volume")))),
    };
    Path::new(path).components().filter_map(part).collect()
}

/// A new folder has the owner and the mode of the volume.
fn as_the_volume(root: &fs::File, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    use nix::fcntl::AtFlags;
    use nix::sys::stat::{FchmodatFlags, fchmodat};
    use nix::unistd::{Gid, Uid, fchownat};
    use std::os::unix::fs::MetadataExt as _;
    let volume = root.metadata()?;
    let (user, group) = (Uid::from_raw(volume.uid()), Gid::from_raw(volume.gid()));
    match fchownat(parent, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW) {
        // Not root: the folder stays the kubelet's, as the volume is.
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    let mode = Mode::from_bits_truncate(volume.mode() & 0o7777);
    Ok(fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)?)
}

/// Makes what was opened reachable at `place`, in place of what an earlier start of the container bound there. Blocking.
pub(super) fn bind(found: &OwnedFd, place: &Path) -> io::Result<()> {
    match umount2(place, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let source = PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()));
    let folder = fs::metadata(&source)?.is_dir();
    if fs::symlink_metadata(place).is_ok_and(|there| there.is_dir() != folder) {
        if folder { fs::remove_file(place)? } else { fs::remove_dir(place)? }
    }
    if folder {
        fs::create_dir_all(place)?;
    } else {
        fs::create_dir_all(place.parent().unwrap_or(Path::new("/")))?;
        fs::OpenOptions::new().create(true).append(true).open(place)?;
    }
    let none: Option<&str> = None;
    Ok(mount(Some(&source), place, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn volume() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        fs::create_dir(&volume).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), "host").unwrap();
        (folder, volume)
    }

    fn target(found: &OwnedFd) -> PathBuf {
        fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).unwrap()
    }

    #[test]
    fn a_part_of_a_volume_is_found_or_made() {
        let (_folder, volume) = volume();
        fs::write(volume.join("file"), "x").unwrap();
        let volume = volume.canonicalize().unwrap();
        assert_eq!(target(&open(&volume, "file").unwrap()), volume.join("file"));
        assert_eq!(target(&open(&volume, "a/./b").unwrap()), volume.join("a/b"));
        assert!(volume.join("a/b").is_dir());
    }

    #[test]
    fn a_link_that_stays_in_the_volume_is_followed() {
        let (_folder, volume) = volume();
        fs::create_dir(volume.join("..1")).unwrap();
        fs::write(volume.join("..1/key"), "x").unwrap();
        symlink("..1", volume.join("..data")).unwrap();
        symlink("..data/key", volume.join("key")).unwrap();
        let found = open(&volume, "key").unwrap();
        assert_eq!(target(&found), volume.canonicalize().unwrap().join("..1/key"));
    }

    #[test]
    fn no_link_leads_out_of_the_volume() {
        let (folder, volume) = volume();
        let outside = folder.path().join("outside");
        symlink(&outside, volume.join("absolute")).unwrap();
        symlink("../outside", volume.join("relative")).unwrap();
        symlink("relative", volume.join("twice")).unwrap();
        symlink("/proc/self/root", volume.join("magic")).unwrap();
        symlink("../outside/not-there-yet", volume.join("dangling")).unwrap();
        for path in
            ["absolute", "relative", "twice", "relative/secret", "absolute/new", "magic/etc", "dangling", "dangling/x"]
        {
            assert!(open(&volume, path).is_err(), "{path}");
        }
        let there: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, ["secret"], "and nothing is made there");
    }

    #[test]
    fn a_path_that_steps_back_is_refused() {
        let (_folder, volume) = volume();
        for path in ["..", "a/../..", "/etc"] {
            assert_eq!(open(&volume, path).unwrap_err().kind(), ErrorKind::InvalidInput, "{path}");
        }
    }

    #[test]
    fn what_was_found_stays_bound_whatever_happens_to_its_name() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (folder, volume) = volume();
        let place = folder.path().join("bound/0");
        let found = open(&volume, "data").unwrap();
        // Between the look and the mount the pod puts a link in its place.
        fs::rename(volume.join("data"), volume.join("moved")).unwrap();
        symlink(folder.path().join("outside"), volume.join("data")).unwrap();
        match bind(&found, &place) {
            // A sandbox in which nothing may be mounted.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return,
            other => other.unwrap(),
        }
        fs::write(volume.join("moved/x"), "1").unwrap();
        assert_eq!(fs::read_to_string(place.join("x")).unwrap(), "1");
        assert!(!place.join("secret").exists());
        // The next start of the container binds something else there.
        fs::write(volume.join("file"), "2").unwrap();
        bind(&open(&volume, "file").unwrap(), &place).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "2");
        umount2(&place, MntFlags::MNT_DETACH).unwrap();
    }
}
