//! The files of a node's static pods: what they say now, and when to look again.
//!
//! The kernel tells of changes (inotify), and a look from time to time finds what it could not tell: a folder that came later, links, a
//! file system without events. Each look reads everything, so nothing depends on which event came.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::core::v1::Pod;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::manifest;

/// The kubelet's limit of a file.
const LONGEST: u64 = 10 << 20;
/// Several files are often written at once.
const SETTLE: Duration = Duration::from_millis(50);

/// A folder of manifests, or a single one.
pub(super) struct Folder {
    path: PathBuf,
    node: String,
    /// What was wrong at the last look, so that it is told once.
    wrong: BTreeMap<PathBuf, String>,
}

impl Folder {
    pub(super) fn new(path: &Path, node: &str) -> Self {
        Self { path: path.to_owned(), node: node.to_owned(), wrong: BTreeMap::new() }
    }

    /// The pods of all files that are right; what is wrong with the others is told. Blocking.
    pub(super) fn pods(&mut self) -> Vec<Pod> {
        let mut pods: BTreeMap<(String, String), (Pod, PathBuf)> = BTreeMap::new();
        let mut wrong = BTreeMap::new();
        let files = self.files().unwrap_or_else(|error| {
            wrong.insert(self.path.clone(), error.to_string());
            Vec::new()
        });
        for file in files {
            let read = read(&file).map_err(|error| error.to_string());
            match read.and_then(|text| manifest::read(&text, &file, &self.node)) {
                Ok(pod) => {
                    let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
                    match pods.get(&key) {
                        Some((_, first)) => {
                            let why = format!("metadata.name: {} has this pod already", first.display());
                            wrong.insert(file, why);
                        }
                        None => drop(pods.insert(key, (pod, file))),
                    }
                }
                Err(why) => drop(wrong.insert(file, why)),
            }
        }
        self.tell(wrong);
        pods.into_values().map(|(pod, _)| pod).collect()
    }

    fn tell(&mut self, wrong: BTreeMap<PathBuf, String>) {
        for (file, why) in wrong.iter().filter(|(file, why)| self.wrong.get(*file) != Some(*why)) {
            if *file == self.path {
                error!(folder = %file.display(), %why, "the manifests of static pods cannot be read; --pod-manifest-path names their folder");
            } else {
                error!(file = %file.display(), %why, "the file of a static pod is not used; the others are");
            }
        }
        for file in self.wrong.keys().filter(|file| !wrong.contains_key(*file)) {
            info!(file = %file.display(), "nothing is wrong here any more");
        }
        self.wrong = wrong;
    }

    /// The files in the order of their names. Hidden ones are none, as editors write there first.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        if fs::metadata(&self.path)?.is_file() {
            return Ok(vec![self.path.clone()]);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // A link to a file is as good as the file.
            if !hidden && fs::metadata(entry.path()).is_ok_and(|found| found.is_file()) {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = fs::File::open(file)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if read as u64 > LONGEST {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "the file is longer than 10 MiB"));
    }
    Ok(text)
}

/// Tells when something in the folder has changed.
pub(super) struct Changes {
    path: PathBuf,
    every: Duration,
    events: Option<Events>,
}

/// What the kernel tells. Which event it was does not matter, so the queue is only emptied.
struct Events {
    watches: Inotify,
    queue: Receiver,
}

impl Events {
    fn open() -> io::Result<Self> {
        let watches = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // It is read like a pipe.
        let queue = Receiver::from_file_unchecked(fs::File::from(watches.as_fd().try_clone_to_owned()?))?;
        Ok(Self { watches, queue })
    }

    async fn told(&self) {
        if self.queue.readable().await.is_ok() {
            let mut events = [0; 4_096];
            while self.queue.try_read(&mut events).is_ok_and(|read| read > 0) {}
        }
    }
}

impl Changes {
    pub(super) fn of(path: &Path, every: Duration) -> Self {
        let mut changes = Self { path: path.to_owned(), every, events: None };
        changes.subscribe();
        changes
    }

    /// Returns when there may be something new.
    pub(super) async fn next(&mut self) {
        // A folder that is not there yet, or was replaced, is found by looking.
        self.subscribe();
        match &self.events {
            None => sleep(self.every).await,
            Some(events) => {
                let told = async {
                    events.told().await;
                    sleep(SETTLE).await;
                };
                tokio::select! {
                    () = told => {}
                    () = sleep(self.every) => {}
                }
            }
        }
    }

    fn subscribe(&mut self) {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        if self.events.is_none() {
            match Events::open() {
                Ok(events) => self.events = Some(events),
                Err(error) => return warn!(%error, "changes of manifests are found by looking only"),
            }
        }
        let Some(events) = &self.events else { return };
        // Adding what is watched already changes nothing; the same path may be another folder by now.
        match events.watches.add_watch(&self.path, flags) {
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(error) => {
                warn!(%error, folder = %self.path.display(), "changes of manifests are found by looking only")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, image: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: {image}}}]}}"
        )
    }

    fn names(folder: &mut Folder) -> Vec<String> {
        folder.pods().into_iter().map(|pod| pod.metadata.name).collect()
    }

    #[test]
    fn what_is_wrong_in_one_file_does_not_concern_the_others() {
        let path = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(path.path(), "n");
        let write = |name: &str, text: &str| fs::write(path.path().join(name), text).unwrap();
        write("b.yaml", &manifest("b", "nginx"));
        write("a.json", &manifest("a", "nginx"));
        write("broken.yaml", "kind: Pod");
        write(".hidden.yaml", &manifest("hidden", "nginx"));
        write("c-same.yaml", &manifest("b", "httpd"));
        fs::create_dir(path.path().join("folder")).unwrap();
        assert_eq!(names(&mut folder), ["a-n", "b-n"]);
        let wrong = |folder: &Folder| -> Vec<String> {
            folder.wrong.iter().map(|(file, why)| format!("{}: {why}", file.file_name().unwrap().display())).collect()
        };
        let taken =
            format!("c-same.yaml: metadata.name: {} has this pod already", path.path().join("b.yaml").display());
        assert_eq!(wrong(&folder), ["broken.yaml: apiVersion: \"\": must be \"v1\"".to_owned(), taken]);
        write("broken.yaml", &manifest("whole", "nginx"));
        fs::remove_file(path.path().join("b.yaml")).unwrap();
        assert_eq!(names(&mut folder), ["a-n", "b-n", "whole-n"]);
        assert!(folder.wrong.is_empty());
    }

    #[test]
    fn a_single_file_will_do_and_none_is_told() {
        let path = tempfile::tempdir().unwrap();
        let file = path.path().join("pod.yaml");
        let mut folder = Folder::new(&file, "n");
        assert!(folder.pods().is_empty() && folder.wrong.contains_key(&file));
        fs::write(&file, manifest("a", "nginx")).unwrap();
        assert_eq!(names(&mut folder), ["a-n"]);
    }

    #[tokio::test]
    async fn the_kernel_tells_of_changes_long_before_the_next_look() {
        let path = tempfile::tempdir().unwrap();
        let mut changes = Changes::of(path.path(), Duration::from_secs(3_600));
        for change in 0..3 {
            match change {
                0 => fs::write(path.path().join("a"), "x").unwrap(),
                1 => fs::rename(path.path().join("a"), path.path().join("b")).unwrap(),
                _ => fs::remove_file(path.path().join("b")).unwrap(),
            }
            tokio::time::timeout(Duration::from_secs(60), changes.next()).await.expect("told");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_comes_later_is_found() {
        let path = tempfile::tempdir().unwrap();
        let later = path.path().join("later");
        let mut changes = Changes::of(&later, Duration::from_secs(20));
        changes.next().await;
        assert!(Folder::new(&later, "n").pods().is_empty());
        fs::create_dir(&later).unwrap();
        changes.next().await;
        fs::write(later.join("a.yaml"), manifest("a", "nginx")).unwrap();
        assert_eq!(names(&mut Folder::new(&later, "n")), ["a-n"]);
    }
}
