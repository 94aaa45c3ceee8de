//! The images of a node: real root file systems, brought to the node by a pull and copied for each container.
//!
//! There is no registry. An image comes from this machine: a few are built in ([`built_in`]), made of its static busybox; any other is an
//! unpacked root file system that a catalogue entry names (`root-fs`). What the catalogue and a pod's annotations say about pulls holds here as it
//! does in the virtual engine. Everything else does not exist, and says so as a registry would.
//!
//! Invariants: an image's id is the digest of its content, so the same content is stored once, whatever it is called; a name that was pulled stays
//! until the image is removed; what a container has is its own copy, so removing an image disturbs nothing that runs.

pub mod built_in;
mod busybox;
mod root_fs;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::cri;
use crate::runtime::behaviour::Behaviour;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::image_name::ImageName;
use crate::runtime::{CONTAINER_NAME, Result, RuntimeError};

use built_in::BuiltIn;
use busybox::Busybox;
pub use root_fs::RootFs;

/// Which name is which image.
const NAMES: &str = "names.json";
/// In an image's folder: its root file system, and what else there is to know.
const ROOT: &str = "root";
const ABOUT: &str = "about.json";

/// The images of one node.
pub struct ImageStore {
    folder: PathBuf,
    catalogue: Arc<Catalogue>,
    busybox: Arc<Busybox>,
    /// Ids by canonical name.
    names: Mutex<BTreeMap<String, String>>,
    /// One image is made at a time.
    making: tokio::sync::Mutex<()>,
}

/// How an image wants to be run, unless its container says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// What is run.
    pub entrypoint: Vec<String>,
    /// With these arguments.
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Where; empty: the root.
    pub working_dir: String,
    /// As whom, by name or number or `user:group`; empty: root.
    pub user: String,
    /// CRI's number of the signal that stops it.
    stop_signal: i32,
}

/// What is stored beside an image's files.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct About {
    config: ImageConfig,
    /// Bytes.
    size: u64,
}

/// Where an image comes from.
enum Source {
    BuiltIn(&'static BuiltIn),
    Folder(PathBuf),
}

impl ImageConfig {
    /// What stops it politely.
    pub fn stop_signal(&self) -> cri::Signal {
        cri::Signal::try_from(self.stop_signal).unwrap_or_default()
    }
}

impl ImageStore {
    /// Opens the images in `folder`, with those that were pulled before. `busybox` names the program that built-in images are made of;
    /// without it the machine's is looked for. Blocks.
    pub fn open(folder: &Path, catalogue: Arc<Catalogue>, busybox: Option<&Path>) -> Result<Self> {
        let busybox = Arc::new(Busybox::find(busybox).map_err(RuntimeError::unknown)?);
        let failed =
            |error: io::Error| RuntimeError::unknown(format!("cannot keep images in {}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = fs::canonicalize(folder).map_err(failed)?;
        let names: BTreeMap<String, String> =
            fs::read(folder.join(NAMES)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let store =
            Self { folder, catalogue, busybox, names: Mutex::new(names), making: tokio::sync::Mutex::default() };
        store.clean().map_err(failed)?;
        Ok(store)
    }

    /// Forgets names without an image, and removes what a predecessor did not finish.
    fn clean(&self) -> io::Result<()> {
        let mut names = self.names.lock();
        names.retain(|_, id| self.about(id).is_some());
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != NAMES && !names.values().any(|id| name == digits(id)) {
                tree::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// All images, by id.
    pub fn list(&self) -> Result<Vec<cri::Image>> {
        let ids: std::collections::BTreeSet<String> = self.names.lock().values().cloned().collect();
        Ok(ids.iter().filter_map(|id| self.image(id)).collect())
    }

    /// One image by name or id, if it is on the node.
    pub fn status(&self, spec: &cri::ImageSpec) -> Result<Option<cri::Image>> {
        if !spec.image.starts_with("sha256:") {
            let behaviour = self.behaviour(spec, &BTreeMap::new())?;
            if let Some(error) = behaviour.inspect_error {
                return Err(RuntimeError::unknown(error));
            }
        }
        Ok(self.id_of(&spec.image)?.and_then(|id| self.image(&id)))
    }

    /// How an image that is on the node wants to be run. By name or id.
    pub fn config(&self, image: &str) -> Result<ImageConfig> {
        let about = self.id_of(image)?.and_then(|id| self.about(&id));
        about.map(|about| about.config).ok_or_else(|| absent(image))
    }

    /// A container's own copy of an image's files, in `folder`, which is the container's. The files of the image's user 0 belong to the machine's user
    /// `first_user`, and so on. Blocks.
    pub fn root(&self, image: &str, folder: &Path, first_user: u32) -> Result<RootFs> {
        let id = self.id_of(image)?.ok_or_else(|| absent(image))?;
        RootFs::make(&self.folder.join(digits(&id)).join(ROOT), folder, first_user).map_err(|error| {
            RuntimeError::unknown(format!("failed to prepare the root file system of {image}: {error}"))
        })
    }

    /// Brings an image to the node and answers its id. Cancel-safe: a dropped pull has happened or not.
    pub async fn pull(&self, request: cri::PullImageRequest) -> Result<String> {
        let spec = request.image.unwrap_or_default();
        let annotations = request.sandbox_config.unwrap_or_default().annotations;
        let name = parse(&spec.image)?;
        let canonical = name.canonical();
        let behaviour = self.behaviour(&spec, &annotations)?;
        let known = self.names.lock().get(&canonical).cloned();
        tokio::time::sleep(if known.is_some() { behaviour.resolve_time } else { behaviour.pull_time }).await;
        let source = match (&behaviour.pull_error, source(&name, &behaviour)) {
            (Some(error), _) if error != "not found" => return Err(RuntimeError::not_pulled(&canonical, error)),
            (None, Some(source)) => source,
            _ => return Err(RuntimeError::not_pulled(&canonical, "not found")),
        };
        let _turn = self.making.lock().await;
        let (folder, busybox) = (self.folder.clone(), Arc::clone(&self.busybox));
        // What an image is does not depend on the pod that asks for it.
        let image = self.catalogue.behaviour(&name);
        let make = tokio::task::spawn_blocking(move || make(&folder, &busybox, &source, &image));
        let made = make.await.unwrap_or_else(|_| Err(io::Error::other("the task panicked")));
        let id = made.map_err(|error| {
            RuntimeError::unknown(format!("failed to pull and unpack image {canonical:?}: {error}"))
        })?;
        self.names.lock().insert(canonical, id.clone());
        self.write_names()?;
        Ok(id)
    }

    /// Removes an image with all its names. Idempotent. Blocks.
    pub fn remove(&self, spec: &cri::ImageSpec) -> Result<()> {
        let Some(id) = self.id_of(&spec.image)? else { return Ok(()) };
        self.names.lock().retain(|_, other| *other != id);
        self.write_names()?;
        tree::remove(&self.folder.join(digits(&id)))
            .map_err(|error| RuntimeError::unknown(format!("failed to remove image {:?}: {error}", spec.image)))
    }

    /// What the images take up.
    pub fn fs_info(&self) -> Result<cri::ImageFsInfoResponse> {
        let used = self.list()?.iter().map(|image| image.size).sum();
        let usage = cri::FilesystemUsage {
            timestamp: i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX),
            fs_id: Some(cri::FilesystemIdentifier { mountpoint: self.folder.display().to_string() }),
            used_bytes: Some(cri::UInt64Value { value: used }),
            inodes_used: None,
        };
        Ok(cri::ImageFsInfoResponse { image_filesystems: vec![usage], container_filesystems: Vec::new() })
    }

    fn behaviour(&self, spec: &cri::ImageSpec, pod: &BTreeMap<String, String>) -> Result<Behaviour> {
        let mut behaviour = self.catalogue.behaviour(&parse(&spec.image)?);
        let root_fs = behaviour.root_fs.clone();
        let container = spec.annotations.get(CONTAINER_NAME).map(String::as_str).unwrap_or_default();
        // The kubelet puts the pod's annotations on the image that it asks for.
        for annotations in [pod, &spec.annotations] {
            behaviour
                .annotate(annotations, container)
                .map_err(|wrong| RuntimeError { code: Code::InvalidArgument, message: wrong.to_string() })?;
        }
        // A pod must not make any folder of the machine into an image, and so its own.
        if behaviour.root_fs != root_fs {
            let message = "root-fs: only the image catalogue of the node can say it".to_owned();
            return Err(RuntimeError { code: Code::InvalidArgument, message });
        }
        Ok(behaviour)
    }

    fn id_of(&self, image: &str) -> Result<Option<String>> {
        let names = self.names.lock();
        if image.starts_with("sha256:") {
            return Ok(names.values().find(|id| *id == image).cloned());
        }
        Ok(names.get(&parse(image)?.canonical()).cloned())
    }

    fn about(&self, id: &str) -> Option<About> {
        serde_json::from_slice(&fs::read(self.folder.join(digits(id)).join(ABOUT)).ok()?).ok()
    }

    fn image(&self, id: &str) -> Option<cri::Image> {
        let About { config, size } = self.about(id)?;
        let names = self.names.lock();
        let names: Vec<&String> = names.iter().filter(|(_, other)| *other == id).map(|(name, _)| name).collect();
        let repository = |name: &&String| {
            let end = name.find('@').or_else(|| name.rfind(':')).unwrap_or(name.len());
            format!("{}@{id}", &name[..end])
        };
        let mut repo_digests: Vec<String> = names.iter().map(repository).collect();
        repo_digests.dedup();
        let (uid, username) = match config.user.split(':').next().unwrap_or_default() {
            "" => (Some(0), String::new()),
            user => user.parse().map_or_else(|_| (None, user.to_owned()), |uid| (Some(uid), String::new())),
        };
        Some(cri::Image {
            id: id.to_owned(),
            repo_tags: names.into_iter().filter(|name| !name.contains('@')).cloned().collect(),
            repo_digests,
            size,
            uid: uid.map(|value| cri::Int64Value { value }),
            username,
            ..Default::default()
        })
    }

    fn write_names(&self) -> Result<()> {
        let names = self.names.lock();
        let path = self.folder.join(NAMES);
        let aside = path.with_extension("new");
        let text = serde_json::to_vec_pretty(&*names).map_err(|error| RuntimeError::unknown(error.to_string()))?;
        fs::write(&aside, text)
            .and_then(|()| fs::rename(&aside, &path))
            .map_err(|error| RuntimeError::unknown(format!("cannot write {}: {error}", path.display())))
    }
}

/// Makes an image's files, and puts them where their digest says. Answers the id.
fn make(folder: &Path, busybox: &Busybox, source: &Source, behaviour: &Behaviour) -> io::Result<String> {
    let aside = folder.join("new");
    tree::remove(&aside)?;
    let root = aside.join(ROOT);
    fs::create_dir_all(&root)?;
    let config = match source {
        Source::BuiltIn(image) => {
            image.write(busybox, &root)?;
            image.config()
        }
        Source::Folder(from) => {
            tree::copy(from, &root, 0)
                .map_err(|error| io::Error::new(error.kind(), format!("root-fs {}: {error}", from.display())))?;
            configured(behaviour)
        }
    };
    let (digest, size) = tree::digest(&root)?;
    // The same files that want to be run in another way are another image.
    let id = tree::digest_of(&[digest.as_bytes(), &serde_json::to_vec(&config)?]);
    fs::write(aside.join(ABOUT), serde_json::to_vec(&About { config, size })?)?;
    let place = folder.join(digits(&id));
    if place.exists() {
        tree::remove(&aside)?;
    } else {
        fs::rename(&aside, &place)?;
    }
    Ok(id)
}

/// What the catalogue's entry of an image says about running it.
fn configured(behaviour: &Behaviour) -> ImageConfig {
    ImageConfig {
        cmd: behaviour.command.clone(),
        env: behaviour.env.clone(),
        working_dir: behaviour.working_dir.clone().unwrap_or_default(),
        user: if behaviour.user == 0 { String::new() } else { behaviour.user.to_string() },
        stop_signal: behaviour.stop_signal.into(),
        entrypoint: Vec::new(),
    }
}

/// What the catalogue says goes before what is built in.
fn source(name: &ImageName, behaviour: &Behaviour) -> Option<Source> {
    match &behaviour.root_fs {
        Some(folder) => Some(Source::Folder(folder.into())),
        None => built_in::find(&name.familiar()).map(Source::BuiltIn),
    }
}

fn parse(image: &str) -> Result<ImageName> {
    ImageName::parse(image).map_err(|why| RuntimeError { code: Code::InvalidArgument, message: why })
}

fn absent(image: &str) -> RuntimeError {
    RuntimeError::not_found(format!("failed to resolve image {image:?}: not found"))
}

/// The part of an id that is a good file name.
fn digits(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}
