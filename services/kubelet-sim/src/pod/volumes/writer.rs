//! Writes the files of a volume so that readers see all of them change at once.
//!
//! ```text
//! <volume>/..2026_01_02_03_04_05.000000006/   the files
//! <volume>/..data  ->  ..2026_01_02_03_04_05.000000006
//! <volume>/key     ->  ..data/key
//! ```
//!
//! An update writes a new folder and renames a new `..data` over the old one: that is the moment of change. The layout is Kubernetes';
//! programs watch `..data` to learn of updates. A process that dies half-way leaves a folder that nobody refers to, and the next write
//! removes it.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Component, Path};

use jiff::Timestamp;

use super::content::{File, Files};

const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_tmp";

/// Who owns what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ownership {
    /// The user; `None`: whoever the kubelet runs as, because it may not give files away.
    pub(super) user: Option<u32>,
    /// The pod's `fsGroup`, which then may read, and write where the volume can be written.
    pub(super) group: Option<u32>,
}

impl Ownership {
    /// Gives a file or folder away.
    pub(super) fn apply(self, path: &Path, mode: u32, writable: bool) -> io::Result<()> {
        if self.user.is_some() || self.group.is_some() {
            lchown(path, self.user, self.group.or(self.user))?;
        }
        let folder = fs::symlink_metadata(path)?.is_dir();
        let for_group = match (self.group.is_some(), folder) {
            (false, _) => 0,
            // New files belong to the group, too.
            (true, true) => 0o2110 | if writable { 0o660 } else { 0o440 },
            (true, false) => {
                if writable {
                    0o660
                } else {
                    0o440
                }
            }
        };
        fs::set_permissions(path, Permissions::from_mode(mode | for_group))
    }
}

/// Makes `volume` hold exactly these files. Answers whether anything changed. Blocking.
pub(super) fn write(volume: &Path, files: &Files, owner: Ownership, now: Timestamp) -> io::Result<bool> {
    for path in files.keys() {
        check(path)?;
    }
    let current = fs::read_link(volume.join(DATA)).ok();
    if let Some(current) = &current
        && holds(&volume.join(current), files)?
    {
        return Ok(false);
    }
    let folder = new_folder(volume, now)?;
    let name = folder.file_name().unwrap_or_default().to_owned();
    for (path, file) in files {
        write_file(&folder, path, file, owner)?;
    }
    owner.apply(&folder, 0o755, false)?;
    let next = volume.join(DATA_NEXT);
    remove_if_there(fs::remove_file(&next))?;
    link(Path::new(&name), &next, owner)?;
    fs::rename(&next, volume.join(DATA))?;
    link_files(volume, files, owner)?;
    tidy(volume, name.as_ref())?;
    Ok(true)
}

/// A path of a file must lie within its volume, and must not look like one of ours.
fn check(path: &str) -> io::Result<()> {
    let fits = !path.is_empty()
        && path.len() <= 4_096
        && !path.starts_with("..")
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if fits { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidInput, format!("invalid path {path:?}"))) }
}

fn new_folder(volume: &Path, now: Timestamp) -> io::Result<std::path::PathBuf> {
    let mut now = now;
    loop {
        let folder = volume.join(format!("..{}", now.strftime("%Y_%m_%d_%H_%M_%S.%9f")));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            // Two writes within the clock's step.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                now = now.saturating_add(jiff::SignedDuration::from_nanos(1)).map_err(io::Error::other)?;
            }
            Err(error) => return Err(error),
        }
    }
}

fn write_file(folder: &Path, path: &str, file: &File, owner: Ownership) -> io::Result<()> {
    let mut parent = folder.to_owned();
    let whole = Path::new(path);
    for part in whole.parent().into_iter().flat_map(Path::components) {
        parent.push(part);
        match fs::create_dir(&parent) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => owner.apply(&parent, 0o755, false)?,
        }
    }
    let at = folder.join(whole);
    // Nobody else may read it before it has its mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at)?.write_all(&file.data)?;
    owner.apply(&at, file.mode, false)
}

/// Whether a folder holds just these files.
fn holds(folder: &Path, files: &Files) -> io::Result<bool> {
    let mut found = BTreeSet::new();
    collect(folder, Path::new(""), &mut found)?;
    if !found.iter().eq(files.keys()) {
        return Ok(false);
    }
    for (path, file) in files {
        if fs::read(folder.join(path))? != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn collect(folder: &Path, below: &Path, found: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder.join(below)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(folder, &path, found)?;
        } else {
            found.insert(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn link(to: &Path, at: &Path, owner: Ownership) -> io::Result<()> {
    symlink(to, at)?;
    if owner.user.is_some() || owner.group.is_some() {
        lchown(at, owner.user, owner.group.or(owner.user))?;
    }
    Ok(())
}

/// The names that users see: one link per file or folder at the top.
fn link_files(volume: &Path, files: &Files, owner: Ownership) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &wanted {
        let link = volume.join(name);
        if fs::symlink_metadata(&link).is_err() {
            self::link(&Path::new(DATA).join(name), &link, owner)?;
        }
    }
    for entry in fs::read_dir(volume)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(name.as_ref()) {
            remove_if_there(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Removes the folders of earlier writes.
fn tidy(volume: &Path, current: &Path) -> io::Result<()> {
    for entry in fs::read_dir(volume)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_string_lossy().starts_with("..") && entry.file_type()?.is_dir();
        if ours && Path::new(&name) != current {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Ownership = Ownership { user: None, group: None };

    fn files(pairs: &[(&str, &str)]) -> Files {
        let file = |data: &str| File { data: data.as_bytes().to_vec(), mode: 0o640 };
        pairs.iter().map(|(path, data)| ((*path).to_owned(), file(data))).collect()
    }

    fn put(volume: &Path, pairs: &[(&str, &str)]) -> bool {
        write(volume, &files(pairs), NOBODY, Timestamp::now()).unwrap()
    }

    fn names(volume: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(volume).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        // The folder's name is a time.
        names.into_iter().filter(|name| !name.starts_with("..2")).collect()
    }

    #[test]
    fn files_are_links_through_data_and_have_their_modes() {
        let volume = tempfile::tempdir().unwrap();
        assert!(put(volume.path(), &[("a", "1"), ("sub/deep/b", "2")]));
        assert_eq!(names(volume.path()), ["..data", "a", "sub"]);
        assert_eq!(fs::read_link(volume.path().join("a")).unwrap(), Path::new("..data/a"));
        assert_eq!(fs::read_link(volume.path().join("sub")).unwrap(), Path::new("..data/sub"));
        assert_eq!(fs::read_to_string(volume.path().join("sub/deep/b")).unwrap(), "2");
        let mode = fs::metadata(volume.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }

    #[test]
    fn an_update_swaps_one_link_and_leaves_nothing_old_behind() {
        let volume = tempfile::tempdir().unwrap();
        put(volume.path(), &[("a", "1"), ("gone", "x")]);
        let before = fs::read_link(volume.path().join(DATA)).unwrap();
        assert!(!put(volume.path(), &[("a", "1"), ("gone", "x")]), "nothing has changed");
        assert_eq!(fs::read_link(volume.path().join(DATA)).unwrap(), before);

        assert!(put(volume.path(), &[("a", "2"), ("new", "y")]));
        let after = fs::read_link(volume.path().join(DATA)).unwrap();
        assert_ne!(before, after);
        assert_eq!(names(volume.path()), ["..data", "a", "new"]);
        assert_eq!(fs::read_to_string(volume.path().join("a")).unwrap(), "2");
        assert!(!volume.path().join(before).exists());
    }

    #[test]
    fn a_reader_never_sees_half_an_update() {
        let volume = tempfile::tempdir().unwrap();
        put(volume.path(), &[("a", "0"), ("b", "0")]);
        let root = volume.path().to_owned();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..200 {
                    put(&root, &[("a", &round.to_string()), ("b", &round.to_string())]);
                }
                done.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            let mut seen = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                // One look at the link, then both files of that version, if it is still there.
                let version = root.join(fs::read_link(root.join(DATA)).unwrap());
                let read = |name| fs::read_to_string(version.join(name));
                if let (Ok(a), Ok(b)) = (read("a"), read("b")) {
                    assert_eq!(a, b);
                    seen += 1;
                }
            }
            assert!(seen > 0);
        });
    }

    #[test]
    fn what_a_dead_writer_left_is_tidied_up() {
        let volume = tempfile::tempdir().unwrap();
        put(volume.path(), &[("a", "1")]);
        fs::create_dir(volume.path().join("..2001_01_01_00_00_00.000000000")).unwrap();
        symlink("nowhere", volume.path().join(DATA_NEXT)).unwrap();
        assert!(put(volume.path(), &[("a", "2")]));
        assert!(!volume.path().join("..2001_01_01_00_00_00.000000000").exists());
        assert_eq!(names(volume.path()), ["..data", "a"]);
    }

    #[test]
    fn a_path_that_would_leave_the_volume_is_refused() {
        let volume = tempfile::tempdir().unwrap();
        for path in ["../a", "/a", "a/../../b", "..data", "", "..hidden"] {
            assert!(write(volume.path(), &files(&[(path, "x")]), NOBODY, Timestamp::now()).is_err(), "{path:?}");
        }
        assert!(fs::read_dir(volume.path()).unwrap().next().is_none());
    }

    #[test]
    fn the_group_of_the_pod_may_read() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        use std::os::unix::fs::MetadataExt as _;
        let volume = tempfile::tempdir().unwrap();
        let owner = Ownership { user: Some(100_000), group: Some(101_000) };
        let file = File { data: b"x".to_vec(), mode: 0o400 };
        write(volume.path(), &Files::from([("d/a".to_owned(), file)]), owner, Timestamp::now()).unwrap();
        let file = fs::metadata(volume.path().join("d/a")).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (100_000, 101_000, 0o440));
        let folder = fs::metadata(volume.path().join("d")).unwrap();
        assert_eq!((folder.uid(), folder.gid(), folder.mode() & 0o7777), (100_000, 101_000, 0o2755));
    }
}
