//! The folders of a node's pods, laid out as the kubelet's:
//!
//! ```text
//! <root>/pods/<uid>/volumes/kubernetes.io~configmap/<volume>/     also ~secret, ~projected, ~downward-api, ~empty-dir
//! <root>/pods/<uid>/volume-subpaths/<volume>/<container>/<n>      what a container mounts by subPath
//! <root>/pods/<uid>/etc-hosts
//! <root>/pods/<uid>/containers/<container>/<attempt>              its termination message
//! ```
//!
//! Everything here blocks; callers are on a thread that may.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::core::v1::{EmptyDirVolumeSource, HostPathVolumeSource, Pod, VolumeSource};
use jiff::Timestamp;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::content::Files;
use super::writer::{self, Ownership};

/// Where a runtime that has real files finds those of its pods, and who owns them.
#[derive(Clone)]
pub struct PodFiles {
    /// The kubelet's own folder, absolute.
    root: PathBuf,
    /// Whether pods may mount paths of this machine.
    host_paths: bool,
    /// What the first user of a pod is on this machine.
    users: Users,
}

/// The users of pods as this machine sees them.
#[derive(Clone)]
pub enum Users {
    /// User 0 of a pod is the machine's user 0.
    OfTheMachine,
    /// User 0 of a pod is the machine's user that this function names; the others follow it.
    Shifted(Arc<dyn Fn(&Pod) -> u32 + Send + Sync>),
}

impl PodFiles {
    /// Files below `root`, which need not exist yet.
    pub fn new(root: &Path, users: Users, host_paths: bool) -> io::Result<Self> {
        Ok(Self { root: std::path::absolute(root)?, host_paths, users })
    }

    /// The folder of a pod.
    pub(super) fn pod(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// Where a volume is; `None` for kinds that have no folder of their own.
    pub(super) fn volume(&self, uid: &str, name: &str, source: &VolumeSource) -> Option<PathBuf> {
        if let Some(host) = &source.host_path {
            return Some(PathBuf::from(&host.path));
        }
        Some(self.pod(uid).join("volumes").join(plugin(source)?).join(name))
    }

    /// Where an attempt at a container leaves its last words.
    pub(super) fn last_words(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod(uid).join("containers").join(container).join(attempt.to_string())
    }

    /// Who owns the files of a pod. Only root can give files away.
    pub(super) fn owner(&self, pod: &Pod) -> Ownership {
        if !nix::unistd::geteuid().is_root() {
            return Ownership { user: None, group: None };
        }
        let first = match &self.users {
            Users::OfTheMachine => 0,
            Users::Shifted(first) => first(pod),
        };
        let group = pod.spec.security_context.as_ref().and_then(|context| context.fs_group);
        let group = group.and_then(|group| u32::try_from(group).ok()).map(|group| first.saturating_add(group));
        Ownership { user: Some(first), group }
    }

    /// Makes a volume hold these files. Answers whether anything changed.
    pub(super) fn write(&self, pod: &Pod, volume: &Path, files: &Files, now: Timestamp) -> io::Result<bool> {
        let owner = self.owner(pod);
        if !volume.is_dir() {
            folder(volume)?;
            owner.apply(volume, 0o755, false)?;
        }
        writer::write(volume, files, owner, now)
    }

    /// Makes an empty folder for the pod's containers to share. One that is there is kept: it outlives containers and sandboxes.
    pub(super) fn empty_dir(&self, pod: &Pod, volume: &Path, source: &EmptyDirVolumeSource) -> io::Result<()> {
        // In memory it is there once it is mounted; what an interrupted attempt left is nothing.
        let in_memory = source.medium == "Memory";
        if volume.is_dir() && (!in_memory || is_mounted(volume)?) {
            return Ok(());
        }
        match source.medium.as_str() {
            "" | "Memory" => {}
            other => return Err(io::Error::other(format!("unknown storage medium {other:?}"))),
        }
        folder(volume)?;
        if in_memory {
            let limit = source.size_limit.as_ref().map_or(0, |limit| limit.amount_or_zero().value());
            let size = if limit > 0 { format!("size={limit}") } else { String::new() };
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            mount(Some("tmpfs"), volume, Some("tmpfs"), flags, Some(size.as_str()))?;
        }
        self.owner(pod).apply(volume, 0o777, true)
    }

    /// Whether a path of this machine is what the volume says.
    pub(super) fn host_path(&self, source: &HostPathVolumeSource) -> Result<(), String> {
        if !self.host_paths {
            let path = &source.path;
            return Err(format!(
                "hostPath {path:?} is not allowed on this node: it would reach the machine that the pod runs on (its kubelet \
                 allows it with --allow-privileged)"
            ));
        }
        host_path(source)
    }

    /// Removes all that a pod had. Mounts go first; if one stays, so do all files, because it may be a part of this machine.
    pub(super) fn remove(&self, uid: &str) -> io::Result<()> {
        let folder = self.pod(uid);
        unmount_below(&folder)?;
        if let Some(mounted) = mounts_below(&folder)?.first() {
            return Err(io::Error::new(ErrorKind::ResourceBusy, format!("{} is still mounted", mounted.display())));
        }
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Unmounts what is mounted for pods, which all have ended: memory, and parts of volumes. They are mounted anew when pods start again.
    pub fn unmount(&self) -> io::Result<()> {
        unmount_below(&self.root.join("pods"))
    }

    /// The pods that have a folder.
    pub(super) fn pods(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join("pods")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

/// The kind of a volume as the kubelet's folders name it.
fn plugin(source: &VolumeSource) -> Option<&'static str> {
    if source.config_map.is_some() {
        Some("kubernetes.io~configmap")
    } else if source.secret.is_some() {
        Some("kubernetes.io~secret")
    } else if source.projected.is_some() {
        Some("kubernetes.io~projected")
    } else if source.downward_api.is_some() {
        Some("kubernetes.io~downward-api")
    } else if source.empty_dir.is_some() {
        Some("kubernetes.io~empty-dir")
    } else {
        None
    }
}

/// Makes a folder, and its parents so that only the kubelet sees into them.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o750).create(path)
}

fn host_path(source: &HostPathVolumeSource) -> Result<(), String> {
    let path = Path::new(&source.path);
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(format!("hostPath {:?} must not contain '..'", source.path));
    }
    let kind = source.r#type.as_deref().unwrap_or_default();
    let there = fs::metadata(path);
    let failed = |why: &str| Err(format!("hostPath type check failed: {} {why}", source.path));
    let made = |result: io::Result<()>| result.map_err(|error| format!("cannot create {}: {error}", source.path));
    match (kind, &there) {
        ("", _) => Ok(()),
        ("DirectoryOrCreate", Err(_)) => made(fs::DirBuilder::new().recursive(true).mode(0o755).create(path)),
        ("FileOrCreate", Err(_)) => made(fs::OpenOptions::new().create(true).append(true).open(path).map(drop)),
        ("Directory" | "DirectoryOrCreate", found) if !found.as_ref().is_ok_and(fs::Metadata::is_dir) => {
            failed("is not a directory")
        }
        ("File" | "FileOrCreate", found) if !found.as_ref().is_ok_and(fs::Metadata::is_file) => failed("is not a file"),
        ("Socket", found) if !found.as_ref().is_ok_and(|found| found.file_type().is_socket()) => {
            failed("is not a socket file")
        }
        ("CharDevice", found) if !found.as_ref().is_ok_and(|found| found.file_type().is_char_device()) => {
            failed("is not a character device")
        }
        ("BlockDevice", found) if !found.as_ref().is_ok_and(|found| found.file_type().is_block_device()) => {
            failed("is not a block device")
        }
        ("Directory" | "DirectoryOrCreate" | "File" | "FileOrCreate" | "Socket" | "CharDevice" | "BlockDevice", _) => {
            Ok(())
        }
        (other, _) => Err(format!("{other} is an invalid volume type")),
    }
}

fn is_mounted(folder: &Path) -> io::Result<bool> {
    Ok(mounts_below(folder)?.iter().any(|mounted| mounted == folder))
}

fn unmount_below(folder: &Path) -> io::Result<()> {
    for mounted in mounts_below(folder)?.iter().rev() {
        umount2(mounted, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    }
    Ok(())
}

/// What is mounted at a folder or below it, outer mounts first.
fn mounts_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(|field| PathBuf::from(unescape(field)));
    Ok(points.filter(|point| point.starts_with(folder)).collect())
}

/// The kernel writes blanks and the like as three octal digits.
fn unescape(field: &str) -> String {
    let mut text = field.to_owned();
    for (code, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(code, plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: &str, path: &Path) -> HostPathVolumeSource {
        HostPathVolumeSource { path: path.display().to_string(), r#type: Some(kind.to_owned()) }
    }

    #[test]
    fn a_path_of_the_machine_must_be_what_the_volume_says() {
        let folder = tempfile::tempdir().unwrap();
        let (file, new) = (folder.path().join("file"), folder.path().join("new/folder"));
        fs::write(&file, "").unwrap();
        for (kind, path, expected) in [
            ("", &new, None),
            ("Directory", &file, Some("is not a directory")),
            ("Directory", &new, Some("is not a directory")),
            ("File", &folder.path().to_owned(), Some("is not a file")),
            ("File", &file, None),
            ("Socket", &file, Some("is not a socket file")),
            ("CharDevice", &PathBuf::from("/dev/null"), None),
            ("BlockDevice", &PathBuf::from("/dev/null"), Some("is not a block device")),
            ("DirectoryOrCreate", &new, None),
            ("Directory", &new, None),
            ("FileOrCreate", &new.join("x"), None),
            ("File", &new.join("x"), None),
        ] {
            let answer = host_path(&source(kind, path)).err();
            let expected = expected.map(|why| format!("hostPath type check failed: {} {why}", path.display()));
            assert_eq!(answer, expected, "{kind} {}", path.display());
        }
        assert!(host_path(&source("", Path::new("/a/../etc"))).unwrap_err().contains("'..'"));
    }

    #[test]
    fn paths_of_the_machine_need_the_operators_word() {
        let files = PodFiles::new(Path::new("/x"), Users::OfTheMachine, false).unwrap();
        let error = files.host_path(&source("", Path::new("/etc"))).unwrap_err();
        assert!(error.contains("--allow-privileged"), "{error}");
    }

    #[test]
    fn an_empty_dir_is_made_once_and_goes_with_its_pod() {
        let folder = tempfile::tempdir().unwrap();
        let files = PodFiles::new(folder.path(), Users::OfTheMachine, false).unwrap();
        let mut pod = Pod::default();
        pod.metadata.uid = "u".to_owned();
        let volume =
            files.volume("u", "v", &VolumeSource { empty_dir: Some(Default::default()), ..Default::default() });
        let volume = volume.unwrap();
        assert!(volume.ends_with("pods/u/volumes/kubernetes.io~empty-dir/v"));
        files.empty_dir(&pod, &volume, &EmptyDirVolumeSource::default()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&volume).unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o777);
        fs::write(volume.join("x"), "1").unwrap();
        files.empty_dir(&pod, &volume, &EmptyDirVolumeSource::default()).unwrap();
        assert!(volume.join("x").exists(), "a second start finds what the first one left");
        assert_eq!(files.pods().unwrap(), ["u"]);
        files.remove("u").unwrap();
        files.remove("u").unwrap();
        assert!(files.pods().unwrap().is_empty());
        let odd = EmptyDirVolumeSource { medium: "HugePages".to_owned(), size_limit: None };
        assert!(files.empty_dir(&pod, &volume, &odd).is_err());
    }

    #[test]
    fn a_folder_in_memory_has_its_limit_and_is_unmounted() {
        let folder = tempfile::tempdir().unwrap();
        let files = PodFiles::new(folder.path(), Users::OfTheMachine, false).unwrap();
        let limit = serde_json::json!({"medium": "Memory", "sizeLimit": "64Ki"});
        let source: EmptyDirVolumeSource = serde_json::from_value(limit).unwrap();
        let mut pod = Pod::default();
        pod.metadata.uid = "u".to_owned();
        let volume = files.pod("u").join("volumes/kubernetes.io~empty-dir/v");
        match files.empty_dir(&pod, &volume, &source) {
            // Not root, or where nothing may be mounted.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return,
            other => other.unwrap(),
        }
        assert!(is_mounted(&volume).unwrap());
        fs::write(volume.join("small"), [0; 1_024]).unwrap();
        assert!(fs::write(volume.join("large"), vec![0; 1 << 20]).is_err());
        files.remove("u").unwrap();
        assert!(!is_mounted(&volume).unwrap() && !files.pod("u").exists());
    }
}
