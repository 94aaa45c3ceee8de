//! The few files of a simulated container, in memory.
//!
//! A folder is there as soon as something is in it, or it was made, or every image has it. Nothing has owners, modes or links.

use std::collections::{BTreeMap, BTreeSet};

/// Folders of every image.
const USUAL: [&str; 10] = ["/", "/bin", "/dev", "/etc", "/home", "/root", "/tmp", "/usr", "/usr/share", "/var"];

/// How many bytes a file may grow to; what is written beyond is lost, as on a full disk.
const LARGEST: usize = 64 << 10;

/// What somebody did to a file, at a time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Change {
    pub(in super::super) at: i64,
    pub(in super::super) path: String,
    /// The file's new content; `None`: it is gone. A path that ends in `/` is a folder.
    pub(in super::super) content: Option<String>,
}

/// A container's files as they are now.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Files {
    files: BTreeMap<String, String>,
    folders: BTreeSet<String>,
    /// Counts changes, so that a loop can tell whether anything is new.
    version: u64,
    /// What was done since somebody last asked: path and content.
    done: Vec<(String, Option<String>)>,
}

impl Files {
    /// The files that an image brings.
    pub(in super::super) fn of(image: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { files: image.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Makes a change that was made before.
    pub(super) fn apply(&mut self, change: &Change) {
        self.set(&change.path, change.content.clone());
        self.done.clear();
    }

    /// What was done since this was last asked.
    pub(in super::super) fn take_changes(&mut self, at: i64) -> Vec<Change> {
        self.done.drain(..).map(|(path, content)| Change { at, path, content }).collect()
    }

    fn set(&mut self, path: &str, content: Option<String>) {
        self.version += 1;
        self.done.push((path.to_owned(), content.clone()));
        match (path.strip_suffix('/'), content) {
            (Some(folder), Some(_)) => {
                self.folders.insert(folder.to_owned());
            }
            (Some(folder), None) => {
                self.folders.remove(folder);
            }
            (None, Some(content)) => {
                self.files.insert(path.to_owned(), content);
            }
            (None, None) => {
                self.files.remove(path);
            }
        }
    }

    pub(in super::super) fn read(&self, path: &str) -> Option<&str> {
        self.files.get(&clean(path)).map(String::as_str)
    }

    pub(in super::super) fn is_folder(&self, path: &str) -> bool {
        let path = clean(path);
        let inside = if path == "/" { path.clone() } else { format!("{path}/") };
        USUAL.contains(&path.as_str())
            || self.folders.iter().any(|folder| *folder == path || folder.starts_with(&inside))
            || self.files.range(inside.clone()..).next().is_some_and(|(file, _)| file.starts_with(&inside))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.read(path).is_some() || self.is_folder(path)
    }

    /// The names in a folder.
    pub(super) fn list(&self, path: &str) -> Vec<String> {
        let path = clean(path);
        let inside = if path == "/" { path } else { format!("{path}/") };
        let all = USUAL
            .iter()
            .copied()
            .chain(self.folders.iter().map(String::as_str))
            .chain(self.files.keys().map(String::as_str));
        let names = all.filter_map(|full| full.strip_prefix(&inside)?.split('/').next());
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Writes or appends. The error is the reason in the words of a shell.
    pub(super) fn write(&mut self, path: &str, text: &str, append: bool) -> Result<(), &'static str> {
        let path = clean(path);
        if path.starts_with("/dev/") {
            return Ok(());
        }
        if self.is_folder(&path) {
            return Err("Is a directory");
        }
        let mut content = if append { self.files.get(&path).cloned().unwrap_or_default() } else { String::new() };
        if content.len() + text.len() > LARGEST {
            return Err("No space left on device");
        }
        content.push_str(text);
        self.set(&path, Some(content));
        Ok(())
    }

    pub(super) fn make_folder(&mut self, path: &str) {
        self.set(&format!("{}/", clean(path)), Some(String::new()));
    }

    /// Removes a file, or a folder with all that is in it. Whether there was anything.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        let path = clean(path);
        let inside = format!("{path}/");
        let mut gone: Vec<String> =
            self.files.keys().filter(|file| **file == path || file.starts_with(&inside)).cloned().collect();
        let folders = self.folders.iter().filter(|folder| **folder == path || folder.starts_with(&inside));
        gone.extend(folders.map(|folder| format!("{folder}/")));
        for path in &gone {
            self.set(path, None);
        }
        !gone.is_empty()
    }
}

/// An absolute path without detours.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_where_something_is() {
        let mut files = Files::of([("/usr/share/nginx/html/index.html".to_owned(), "hi".to_owned())]);
        assert_eq!(files.read("/usr/share/../share/nginx/html//index.html"), Some("hi"));
        assert!(files.is_folder("/usr/share/nginx") && !files.is_folder("/usr/share/ngin"));
        assert_eq!(files.list("/usr/share/nginx/html"), ["index.html"]);
        assert_eq!(files.write("/usr/share/nginx", "x", false), Err("Is a directory"));
        files.make_folder("/srv/deep");
        assert!(files.is_folder("/srv") && files.list("/srv") == ["deep"]);
        assert!(files.remove("/usr/share/nginx") && !files.remove("/usr/share/nginx"));
        assert!(!files.exists("/usr/share/nginx/html/index.html") && !files.exists("/usr/share/nginx"));
        assert!(files.write("/dev/null", "gone", false).is_ok() && files.read("/dev/null").is_none());
        assert_eq!(files.write("/big", &"x".repeat(LARGEST + 1), true), Err("No space left on device"));
    }

    #[test]
    fn changes_can_be_made_again_elsewhere() {
        let mut files = Files::default();
        files.write("/a", "1\n", false).unwrap();
        files.write("/a", "2\n", true).unwrap();
        files.make_folder("/d");
        files.write("/d/b", "", false).unwrap();
        files.remove("/d");
        let mut again = Files::default();
        for change in files.take_changes(7) {
            assert_eq!(change.at, 7);
            again.apply(&change);
        }
        assert_eq!((again.read("/a"), again.exists("/d")), (Some("1\n2\n"), false));
        assert!(again.take_changes(8).is_empty(), "what was only repeated is no news");
    }
}
