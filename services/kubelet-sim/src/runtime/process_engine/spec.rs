//! What a sandbox process must know to do its work, as the engine writes it down for it.
//!
//! Everything is decided here, from what CRI asks for and what the image says; the sandbox process only carries it out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::confinement::Confinement;
use super::images::{ImageConfig, RootFs};
use super::sandbox::account::Wanted;
use crate::cri;

/// Annotations by which the kubelet tells what its own part of a container is.
const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";

/// Where commands are looked for when nobody says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A pod's sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SandboxSpec {
    pub(super) id: String,
    pub(super) hostname: String,
    pub(super) host_network: bool,
    pub(super) host_ipc: bool,
    /// All containers share one process namespace.
    pub(super) shared_pid: bool,
    pub(super) sysctls: BTreeMap<String, String>,
    /// How long the pod lives without a kubelet, in milliseconds.
    pub(super) adoption_timeout: u64,
}

/// A container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContainerSpec {
    pub(super) id: String,
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: String,
    pub(super) user: Wanted,
    pub(super) tty: bool,
    pub(super) stdin: bool,
    pub(super) stdin_once: bool,
    /// Its log file; `None` where nobody wants one.
    pub(super) log: Option<PathBuf>,
    /// The file on this machine that is its termination message.
    pub(super) termination_log: Option<PathBuf>,
    /// Without a message, the last lines of the log of a container that failed are one.
    pub(super) fallback_to_logs: bool,
    pub(super) pid: PidMode,
    pub(super) host_network: bool,
    pub(super) privileged: bool,
    /// What of `/proc` and `/sys` is hidden, and what cannot be written.
    pub(super) masked_paths: Vec<PathBuf>,
    pub(super) readonly_paths: Vec<PathBuf>,
    pub(super) root: RootFs,
    pub(super) readonly_root: bool,
    /// In this order.
    pub(super) mounts: Vec<Mount>,
    pub(super) confinement: Confinement,
}

/// Whose processes a container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PidMode {
    /// Its own.
    Container,
    /// Those of its pod.
    Pod,
    /// All of the machine.
    Node,
}

/// A file or folder of this machine, made visible in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    pub(super) host: PathBuf,
    pub(super) container: PathBuf,
    pub(super) readonly: bool,
}

/// The folders that a container's files come from.
pub(super) struct Folders<'a> {
    pub(super) sandbox: &'a Path,
    pub(super) container: &'a Path,
}

impl SandboxSpec {
    pub(super) fn of(id: &str, config: &cri::PodSandboxConfig, adoption_timeout: u64) -> Self {
        let options = options(config);
        Self {
            id: id.to_owned(),
            hostname: config.hostname.clone(),
            host_network: options.network() == cri::NamespaceMode::Node,
            host_ipc: options.ipc() == cri::NamespaceMode::Node,
            shared_pid: options.pid() == cri::NamespaceMode::Pod,
            sysctls: config.linux.as_ref().map(|linux| linux.sysctls.clone()).unwrap_or_default(),
            adoption_timeout,
        }
    }
}

impl ContainerSpec {
    pub(super) fn of(
        id: &str,
        pod: &cri::PodSandboxConfig,
        config: &cri::ContainerConfig,
        (root, image): (RootFs, &ImageConfig),
        confinement: Confinement,
        folders: &Folders<'_>,
    ) -> Result<Self, String> {
        let security = config.linux.as_ref().and_then(|linux| linux.security_context.clone()).unwrap_or_default();
        let pid = match security.namespace_options.clone().unwrap_or_default().pid() {
            cri::NamespaceMode::Node => PidMode::Node,
            cri::NamespaceMode::Pod => PidMode::Pod,
            cri::NamespaceMode::Container | cri::NamespaceMode::Target => PidMode::Container,
        };
        let annotation = |key: &str| config.annotations.get(key).filter(|value| !value.is_empty());
        let message_path = annotation(TERMINATION_MESSAGE_PATH);
        // The kubelet's own file, if it mounts one there.
        let termination_log = message_path.map(|path| {
            let mounted = config.mounts.iter().find(|mount| mount.container_path == *path);
            mounted.map_or_else(|| folders.container.join("termination-log"), |mount| mount.host_path.clone().into())
        });
        let argv = argv(config, image);
        if argv.is_empty() {
            return Err("failed to generate container spec: no command specified".to_owned());
        }
        Ok(Self {
            id: id.to_owned(),
            argv,
            env: environment(pod, config, image),
            cwd: [&config.working_dir, &image.working_dir]
                .into_iter()
                .find(|folder| !folder.is_empty())
                .map_or("/", String::as_str)
                .to_owned(),
            user: user(&security, image),
            tty: config.tty,
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            log: (!config.log_path.is_empty()).then(|| Path::new(&pod.log_directory).join(&config.log_path)),
            fallback_to_logs: annotation(TERMINATION_MESSAGE_POLICY)
                .is_some_and(|policy| policy == "FallbackToLogsOnError"),
            pid,
            host_network: options(pod).network() == cri::NamespaceMode::Node,
            privileged: security.privileged,
            masked_paths: security.masked_paths.iter().map(PathBuf::from).collect(),
            readonly_paths: security.readonly_paths.iter().map(PathBuf::from).collect(),
            root,
            readonly_root: security.readonly_rootfs,
            mounts: mounts(config, folders, message_path.zip(termination_log.as_ref())),
            termination_log,
            confinement,
        })
    }
}

fn options(config: &cri::PodSandboxConfig) -> cri::NamespaceOption {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    security.and_then(|security| security.namespace_options.clone()).unwrap_or_default()
}

/// A command replaces the image's entrypoint and with it the image's arguments; arguments replace only those.
fn argv(config: &cri::ContainerConfig, image: &ImageConfig) -> Vec<String> {
    let (command, args) = match (config.command.as_slice(), config.args.as_slice()) {
        ([], []) => (image.entrypoint.as_slice(), image.cmd.as_slice()),
        ([], args) => (image.entrypoint.as_slice(), args),
        given => given,
    };
    [command, args].concat()
}

/// The pod's own, or, in the machine's network, the machine's.
pub(super) fn hostname(pod: &cri::PodSandboxConfig) -> String {
    if !pod.hostname.is_empty() {
        return pod.hostname.clone();
    }
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What later says about a variable wins; each stands where it was first named.
fn environment(
    pod: &cri::PodSandboxConfig,
    config: &cri::ContainerConfig,
    image: &ImageConfig,
) -> Vec<(String, String)> {
    let mut env = vec![("PATH".to_owned(), PATH.to_owned()), ("HOSTNAME".to_owned(), hostname(pod))];
    if config.tty {
        env.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    let of_image = image.env.iter().filter_map(|pair| pair.split_once('='));
    let of_pod = config.envs.iter().map(|pair| (pair.key.as_str(), pair.value.as_str()));
    for (key, value) in of_image.chain(of_pod) {
        match env.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => value.clone_into(known),
            None => env.push((key.to_owned(), value.to_owned())),
        }
    }
    env
}

fn user(security: &cri::LinuxContainerSecurityContext, image: &ImageConfig) -> Wanted {
    let number = |value: &Option<cri::Int64Value>| value.as_ref().and_then(|value| u32::try_from(value.value).ok());
    let user = match number(&security.run_as_user) {
        Some(uid) => uid.to_string(),
        None if !security.run_as_username.is_empty() => security.run_as_username.clone(),
        None => image.user.clone(),
    };
    let supplemental = security.supplemental_groups.iter().filter_map(|&group| u32::try_from(group).ok()).collect();
    Wanted { user, group: number(&security.run_as_group), supplemental }
}

/// What the pod's own files are, unless the kubelet mounts its own there; then the volumes, outer ones first.
fn mounts(
    config: &cri::ContainerConfig,
    folders: &Folders<'_>,
    termination: Option<(&String, &PathBuf)>,
) -> Vec<Mount> {
    let volumes = config.mounts.iter().map(|mount| Mount {
        host: mount.host_path.clone().into(),
        container: mount.container_path.clone().into(),
        readonly: mount.readonly,
    });
    let mut volumes: Vec<Mount> = volumes.collect();
    volumes.sort_by_key(|mount| mount.container.components().count());
    let files = ["hosts", "hostname", "resolv.conf"].map(|file| Mount {
        host: folders.sandbox.join(file),
        container: Path::new("/etc").join(file),
        readonly: false,
    });
    let message = termination.map(|(path, file)| Mount { host: file.clone(), container: path.into(), readonly: false });
    let given: Vec<PathBuf> = volumes.iter().map(|mount| mount.container.clone()).collect();
    let own = files.into_iter().filter(|file| !given.contains(&file.container));
    own.chain(volumes).chain(message.filter(|message| !given.contains(&message.container))).collect()
}
