//! The images in the box. Their files are in the crate's folder `images`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ImageConfig;
use super::busybox::Busybox;
use crate::cri::Signal;

/// An image made of busybox and some files.
pub struct BuiltIn {
    /// As people write it, without a tag: it has all tags.
    pub name: &'static str,
    files: &'static [File],
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
    env: &'static [&'static str],
    user: &'static str,
    stop_signal: Signal,
}

/// Path, mode, content.
type File = (&'static str, u32, &'static str);

macro_rules! file {
    ($image:literal, $path:literal, $mode:literal) => {
        ($path, $mode, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/images/", $image, "/", $path)))
    };
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const BASE: &[File] = &[file!("base", "etc/passwd", 0o644), file!("base", "etc/group", 0o644)];

/// Folders that every image has, with their modes.
const FOLDERS: [(&str, u32); 9] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
];

/// All of them.
const ALL: [BuiltIn; 4] = [
    BuiltIn {
        name: "busybox",
        files: &[],
        entrypoint: &[],
        cmd: &["sh"],
        env: &[PATH],
        user: "",
        stop_signal: Signal::Sigterm,
    },
    BuiltIn {
        name: "nginx",
        files: &[
            file!("nginx", "usr/sbin/nginx", 0o755),
            file!("nginx", "usr/lib/nginx/worker", 0o755),
            file!("nginx", "usr/share/nginx/html/index.html", 0o644),
            file!("nginx", "usr/share/nginx/html/50x.html", 0o644),
        ],
        entrypoint: &[],
        cmd: &["nginx", "-g", "daemon off;"],
        env: &[PATH, "NGINX_VERSION=1.29.3"],
        user: "",
        stop_signal: Signal::Sigquit,
    },
    BuiltIn {
        name: "gcr.io/google_containers/goproxy",
        files: &[file!("goproxy", "goproxy", 0o755)],
        entrypoint: &["/goproxy"],
        cmd: &[],
        env: &[PATH],
        user: "",
        stop_signal: Signal::Sigterm,
    },
    BuiltIn {
        name: "registry.k8s.io/pause",
        files: &[file!("pause", "pause", 0o755)],
        entrypoint: &["/pause"],
        cmd: &[],
        env: &[PATH],
        user: "65535:65535",
        stop_signal: Signal::Sigterm,
    },
];

/// The image of this name, without tag.
pub(super) fn find(familiar: &str) -> Option<&'static BuiltIn> {
    static IMAGES: [BuiltIn; 4] = ALL;
    IMAGES.iter().find(|image| image.name == familiar)
}

impl BuiltIn {
    pub(super) fn config(&self) -> ImageConfig {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        ImageConfig {
            entrypoint: owned(self.entrypoint),
            cmd: owned(self.cmd),
            env: owned(self.env),
            working_dir: String::new(),
            user: self.user.to_owned(),
            stop_signal: self.stop_signal.into(),
        }
    }

    /// Writes its root file system.
    pub(super) fn write(&self, busybox: &Busybox, root: &Path) -> io::Result<()> {
        for (folder, mode) in FOLDERS {
            fs::create_dir_all(root.join(folder))?;
            fs::set_permissions(root.join(folder), fs::Permissions::from_mode(mode))?;
        }
        busybox.write(root)?;
        for (path, mode, content) in BASE.iter().chain(self.files) {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        }
        Ok(())
    }
}
