//! A container's root: made in its own mount namespace, by its first process, as the machine's root.
//!
//! The root is entered before anything is mounted in it: so every path in the container is looked up in the container, and a link in an image
//! leads nowhere else. Until the end the machine's files stay reachable through the current folder only.
//!
//! The machine's mounts are those of now, not those of when the sandbox was made: the kubelet mounts parts of volumes, and memory, when a
//! container is about to start, and few machines tell other namespaces about it.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::{chdir, fchdir, pivot_root};

use super::super::spec::{ContainerSpec, Mount};

/// Of the device files that every container has: name and number.
const DEVICES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const NOTHING: Option<&str> = None;

/// Leaves the process in the container's root, with everything mounted. `machine` is the machine's mount namespace; `shm` is mounted in
/// ours. The error says what could not be.
pub(super) fn enter(spec: &ContainerSpec, folder: &Path, shm: &Path, machine: &OwnedFd) -> Result<(), String> {
    let shm = take_along(shm).map_err(failed(shm))?;
    setns(machine, CloneFlags::CLONE_NEWNS).map_err(|why| format!("join the machine's mount namespace: {why}"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|why| format!("unshare mount namespace: {why}"))?;
    // Nothing that is mounted here is seen outside; what is unmounted outside goes away here, too.
    mount(NOTHING, "/", NOTHING, MsFlags::MS_SLAVE | MsFlags::MS_REC, NOTHING)
        .map_err(|why| format!("mount /: {why}"))?;
    let sources = spec.mounts.iter().map(|mount| source(&mount.host)).collect::<Result<Vec<_>, _>>()?;

    let root = folder.join("root");
    fs::create_dir_all(&root).map_err(failed(&root))?;
    spec.root.mount(&root).map_err(failed(&root))?;
    let machine = fs::File::open("/").map_err(failed(Path::new("/")))?;
    chdir(&root)
        .and_then(|()| pivot_root(".", "."))
        .and_then(|()| fchdir(&machine))
        .map_err(|why| format!("pivot_root: {why}"))?;

    umask(Mode::empty());
    kernel_files(spec)?;
    devices(&shm)?;
    for (at, source) in spec.mounts.iter().zip(&sources) {
        bind(source, at)?;
    }
    hide(spec)?;
    umount2(".", MntFlags::MNT_DETACH)
        .and_then(|()| chdir("/"))
        .map_err(|why| format!("leave the machine's root: {why}"))?;
    umask(Mode::from_bits_truncate(0o022));
    if spec.readonly_root {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(NOTHING, "/", NOTHING, flags, NOTHING).map_err(|why| format!("mount / read-only: {why}"))?;
    }
    Ok(())
}

/// A path as it is reached from the current folder when that is the machine's root.
fn source(path: &Path) -> Result<PathBuf, String> {
    let real = fs::canonicalize(path).map_err(|why| format!("mount source {:?}: {why}", path.display().to_string()))?;
    Ok(real.strip_prefix("/").map_or_else(|_| real.clone(), |relative| Path::new(".").join(relative)))
}

fn kernel_files(spec: &ContainerSpec) -> Result<(), String> {
    let guarded = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    folder("/proc")?;
    mount(Some("proc"), "/proc", Some("proc"), guarded, NOTHING).map_err(|why| format!("mount /proc: {why}"))?;
    folder("/sys")?;
    let flags = if spec.privileged { guarded } else { guarded | MsFlags::MS_RDONLY };
    mount(Some("sysfs"), "/sys", Some("sysfs"), flags, NOTHING).map_err(|why| format!("mount /sys: {why}"))
}

fn devices(shm: &OwnedFd) -> Result<(), String> {
    let failed = |what: &'static str| move |why: nix::Error| format!("mount {what}: {why}");
    folder("/dev")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_STRICTATIME;
    mount(Some("tmpfs"), "/dev", Some("tmpfs"), flags, Some("mode=755,size=65536k")).map_err(failed("/dev"))?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_bits_truncate(0o666);
        mknod(&Path::new("/dev").join(name), SFlag::S_IFCHR, mode, makedev(major, minor))
            .map_err(|why| format!("mknod /dev/{name}: {why}"))?;
    }
    let links =
        [("/proc/self/fd", "fd"), ("fd/0", "stdin"), ("fd/1", "stdout"), ("fd/2", "stderr"), ("pts/ptmx", "ptmx")];
    for (to, name) in links {
        symlink(to, Path::new("/dev").join(name)).map_err(self::failed(Path::new(name)))?;
    }
    let guarded = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    folder("/dev/pts")?;
    let options = "newinstance,ptmxmode=0666,mode=0620";
    mount(Some("devpts"), "/dev/pts", Some("devpts"), guarded, Some(options)).map_err(failed("/dev/pts"))?;
    folder("/dev/mqueue")?;
    mount(Some("mqueue"), "/dev/mqueue", Some("mqueue"), guarded | MsFlags::MS_NODEV, NOTHING)
        .map_err(failed("/dev/mqueue"))?;
    folder("/dev/shm")?;
    put(shm, Path::new("/dev/shm")).map_err(self::failed(Path::new("/dev/shm")))
}

/// A copy of what is mounted at a path, for another mount namespace.
#[allow(unsafe_code)]
fn take_along(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path ends with a zero and outlives the call.
    let opened = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    let descriptor = RawFd::try_from(Errno::result(opened)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Mounts what was taken along.
#[allow(unsafe_code)]
fn put(mount: &OwnedFd, at: &Path) -> io::Result<()> {
    let at = CString::new(at.as_os_str().as_bytes())?;
    let (from, to, flags) = (mount.as_raw_fd(), libc::AT_FDCWD, libc::MOVE_MOUNT_F_EMPTY_PATH);
    // SAFETY: the descriptor is open, and both paths end with a zero and outlive the call.
    let moved = unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, at.as_ptr(), flags) };
    Errno::result(moved)?;
    Ok(())
}

fn bind(source: &Path, at: &Mount) -> Result<(), String> {
    let target = Path::new("/").join(&at.container);
    let wrong = |why: io::Error| {
        format!("mount {:?} at {:?}: {why}", at.host.display().to_string(), at.container.display().to_string())
    };
    if source.is_dir() {
        fs::create_dir_all(&target).map_err(wrong)?;
    } else {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(wrong)?;
        }
        OpenOptions::new().create(true).append(true).mode(0o644).open(&target).map_err(wrong)?;
    }
    let bound = mount(Some(source), &target, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING);
    let bound = bound.and_then(|()| if at.readonly { read_only(&target) } else { Ok(()) });
    bound.map_err(|why| wrong(why.into()))
}

fn read_only(target: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    // A mount that has more restrictions must keep them when it is mounted again.
    let have = nix::sys::statvfs::statvfs(target)?.flags();
    let kept = [
        (nix::sys::statvfs::FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (nix::sys::statvfs::FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (nix::sys::statvfs::FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
    ];
    let flags = kept.into_iter().filter(|(has, _)| have.contains(*has)).fold(flags, |flags, (_, keep)| flags | keep);
    mount(NOTHING, target, NOTHING, flags, NOTHING)
}

fn hide(spec: &ContainerSpec) -> Result<(), String> {
    for path in spec.masked_paths.iter().filter(|path| path.exists()) {
        let hidden = if path.is_dir() {
            mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::MS_RDONLY, Some("size=0"))
        } else {
            mount(Some("/dev/null"), path, NOTHING, MsFlags::MS_BIND, NOTHING)
        };
        hidden.map_err(|why| format!("mask {}: {why}", path.display()))?;
    }
    for path in spec.readonly_paths.iter().filter(|path| path.exists()) {
        let bound = mount(Some(path), path, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING);
        bound.and_then(|()| read_only(path)).map_err(|why| format!("make {} read-only: {why}", path.display()))?;
    }
    Ok(())
}

fn folder(path: &str) -> Result<(), String> {
    fs::create_dir_all(path).map_err(failed(Path::new(path)))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> String {
    let path = path.display().to_string();
    move |why| format!("mount {path}: {why}")
}
