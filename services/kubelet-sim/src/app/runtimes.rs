//! Which runtime each node gets.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::core::v1::Pod;
use nix::fcntl::{Flock, FlockArg};
use service_kit::Clock;
use service_kit::supervisor::TaskError;
use tokio::time::{Duration, Instant, sleep};
use tracing::warn;

use crate::Config;
use crate::config::Engine;
use crate::pod::{PodFiles, Users};
use crate::runtime::Runtime;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::process_engine::{self, Options, ProcessEngine};
use crate::runtime::remote::RemoteRuntime;
use crate::runtime::virtual_engine::{Journal, Recovered, VirtualEngine};

/// Makes the runtimes of all nodes of the process.
pub(super) enum Runtimes {
    /// Containers that are only described.
    Virtual {
        catalogue: Arc<Catalogue>,
        clock: Clock,
        /// What survives this process of the virtual engine's containers.
        journal: Journal,
        recovered: Recovered,
    },
    /// One that is there already, for the one node; with the kubelet's folder.
    Remote(Box<RemoteRuntime>, PathBuf),
    /// Containers that run.
    Process {
        engines: HashMap<String, Arc<ProcessEngine>>,
        /// The kubelet's own folder.
        root: PathBuf,
        allow_privileged: bool,
        /// Held as long as the engines are used.
        _lock: Flock<std::fs::File>,
    },
}

/// A node's runtime.
pub(super) struct NodeRuntime {
    pub(super) runtime: Runtime,
    /// The files of its pods; `None`: its containers see none.
    pub(super) files: Option<PodFiles>,
}

impl Runtimes {
    /// Opens what the chosen kind of runtime needs. The error says what is missing and what to do instead.
    pub(super) async fn open(config: &Config, catalogue: Catalogue, clock: Clock) -> Result<Self, TaskError> {
        if let Some(endpoint) = &config.container_runtime_endpoint {
            let root = std::path::absolute(config.root_dir())?;
            let runtime = RemoteRuntime::at(endpoint, root.join("logs"))?.with_cgroups(config.cgroup_driver);
            return Ok(Self::Remote(Box::new(runtime), root));
        }
        let catalogue = Arc::new(catalogue);
        if config.engine == Engine::Process {
            return Self::open_process(config, catalogue, clock).await;
        }
        let (journal, recovered) = super::open(&config.root_dir()).await?;
        Ok(Self::Virtual { catalogue, clock, journal, recovered })
    }

    async fn open_process(config: &Config, catalogue: Arc<Catalogue>, clock: Clock) -> Result<Self, TaskError> {
        if let Some(why) = process_engine::unable() {
            return Err(why.into());
        }
        let root = std::path::absolute(config.root_dir())?;
        let lock = lock(&root).await?;
        let mut engines = HashMap::new();
        for node in config.node_names() {
            let options = Options {
                root: root.join("engine").join(&node),
                node: node.clone(),
                // The same program even if its file was replaced meanwhile.
                program: "/proc/self/exe".into(),
                adoption_timeout: config.adoption_timeout,
                catalogue: Arc::clone(&catalogue),
                busybox: config.busybox.clone(),
                allow_privileged: config.allow_privileged,
                pod_max_pids: config.pod_max_pids,
            };
            engines.insert(node, ProcessEngine::open(options, clock.clone()).await?);
        }
        Ok(Self::Process { engines, root, allow_privileged: config.allow_privileged, _lock: lock })
    }

    /// The runtime of one node.
    pub(super) fn of_node(&mut self, name: &str) -> Result<NodeRuntime, TaskError> {
        match self {
            Self::Virtual { catalogue, clock, journal, recovered } => {
                let journal = Some((journal.clone(), recovered));
                let engine = VirtualEngine::new(name, Arc::clone(catalogue), clock.clone(), journal);
                Ok(NodeRuntime { runtime: Runtime::of(engine), files: None })
            }
            Self::Remote(runtime, root) => {
                let files = PodFiles::new(root, Users::OfTheMachine, true)?;
                Ok(NodeRuntime { runtime: Runtime::of(Arc::new(runtime.as_ref().clone())), files: Some(files) })
            }
            Self::Process { engines, root, allow_privileged, .. } => {
                let engine = engines.get(name).ok_or_else(|| format!("node {name} has no engine"))?;
                let users = Arc::clone(engine);
                let users = Users::Shifted(Arc::new(move |pod| first_user(&users, pod)));
                let files = PodFiles::new(&pods_of(root, name, engines.len()), users, *allow_privileged)?;
                Ok(NodeRuntime { runtime: Runtime::of(Arc::clone(engine)), files: Some(files) })
            }
        }
    }

    /// Ends what a kubelet has left that was killed: it is taken up as by a successor, which then ends in good order.
    pub(super) async fn put_away(config: &Config) -> Result<(), TaskError> {
        Self::open(config, super::catalogue(config)?, Clock::system()).await?.end().await;
        Ok(())
    }

    /// The kubelet ends in good order. Returns when all that must survive this process is on the disk, and nothing runs that must not.
    pub(super) async fn end(&self) {
        match self {
            Self::Virtual { journal, .. } => journal.flush().await,
            // Its containers are not the kubelet's to end.
            Self::Remote(..) => {}
            Self::Process { engines, root, .. } => {
                futures::future::join_all(engines.values().map(|engine| engine.shutdown())).await;
                for name in engines.keys() {
                    let files = PodFiles::new(&pods_of(root, name, engines.len()), Users::OfTheMachine, false);
                    if let Err(error) = files.and_then(|files| files.unmount()) {
                        warn!(node = name, %error, "something stays mounted in the folder of the node's pods");
                    }
                }
            }
        }
    }
}

/// Where a node has the files of its pods. Each of many has a place of its own, as it removes what it does not know.
fn pods_of(root: &Path, node: &str, nodes: usize) -> PathBuf {
    if nodes == 1 { root.to_owned() } else { root.join("nodes").join(node) }
}

/// Pods that ask for a namespace of the machine have its users, too, as its kernel would not let them have one without the other.
fn first_user(engine: &ProcessEngine, pod: &Pod) -> u32 {
    let spec = &pod.spec;
    if spec.host_network || spec.host_pid || spec.host_ipc || spec.host_users == Some(true) {
        return 0;
    }
    engine.first_user(&pod.metadata.uid)
}

/// One kubelet per folder. A predecessor that is still ending is waited for.
async fn lock(root: &Path) -> Result<Flock<std::fs::File>, TaskError> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot keep state in {}: {why}", root.display());
    std::fs::create_dir_all(root).map_err(|why| failed(&why))?;
    let mut file = std::fs::File::create(root.join("lock")).map_err(|why| failed(&why))?;
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, why)) if Instant::now() > patience => {
                return Err(failed(&format!("another kubelet uses it ({why})")).into());
            }
            Err((same, _)) => file = same,
        }
        sleep(Duration::from_millis(50)).await;
    }
}
