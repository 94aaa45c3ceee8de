//! Containers: created, started once, stopped by signal and deadline, removed.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::confinement::Confinement;
use super::records::{self, ContainerRecord, SPEC};
use super::sandbox::wire::{self, Ended, Reply, Request};
use super::spec::{ContainerSpec, Folders};
use super::state::{Container, Life, number};
use super::{ProcessEngine, new_id, no_such};
use crate::cri::{self, ContainerEventType};
use crate::runtime::{Result, RuntimeError};

/// How long a process may take to be gone after SIGKILL.
const DEATH: Duration = Duration::from_secs(30);

impl ProcessEngine {
    pub(super) async fn make_container(self: Arc<Self>, request: cri::CreateContainerRequest) -> Result<String> {
        let config = request.config.ok_or_else(|| RuntimeError::unknown("a container needs a config"))?;
        let sandbox = request.pod_sandbox_id;
        let not_ready = || RuntimeError::unknown(format!("sandbox {sandbox} is not running"));
        let pod = {
            let state = self.state.lock();
            let known = state.sandboxes.get(&sandbox).ok_or_else(|| no_such("sandbox", &sandbox))?;
            known.record.ready.then(|| known.record.config.clone()).ok_or_else(not_ready)?
        };
        let id = new_id();
        let (engine, this) = (Arc::clone(&self), id.clone());
        let of = sandbox.clone();
        let made = tokio::task::spawn_blocking(move || engine.write_container(&this, &of, &pod, config)).await;
        let made = made.unwrap_or_else(|why| Err(RuntimeError::unknown(format!("cannot create a container: {why}"))));
        let record = match made {
            Ok(record) => record,
            Err(why) => {
                // Nothing of it is known to anybody.
                let _ = records::remove(&self.records.container(&id));
                return Err(why);
            }
        };
        let mut state = self.state.lock();
        if !state.sandboxes.get(&sandbox).is_some_and(|sandbox| sandbox.record.ready) {
            let _ = records::remove(&self.records.container(&id));
            return Err(not_ready());
        }
        state.containers.insert(id.clone(), Container::new(record, Life::Created));
        self.publish(&state, &sandbox, &id, ContainerEventType::ContainerCreatedEvent);
        Ok(id)
    }

    /// Prepares a container's folder: its own layer, its files, and all that the sandbox process must know.
    fn write_container(
        &self,
        id: &str,
        sandbox: &str,
        pod: &cri::PodSandboxConfig,
        config: cri::ContainerConfig,
    ) -> Result<ContainerRecord> {
        let wanted = config.image.clone().unwrap_or_default();
        let image = self
            .images
            .status(&wanted)?
            .ok_or_else(|| RuntimeError::not_found(format!("failed to resolve image {:?}: not found", wanted.image)))?;
        let folder = self.records.container(id);
        let failed = |why: io::Error| RuntimeError::unknown(format!("failed to create containerd container: {why}"));
        fs::create_dir_all(&folder).map_err(failed)?;
        let confinement = Confinement::of(&self.policy, pod, &config)?;
        let image_config = self.images.config(&image.id)?;
        let root = self.images.root(&image.id, &folder, confinement.host_uid(0))?;
        let folders = Folders { sandbox: &self.records.sandbox(sandbox), container: &folder };
        let spec = ContainerSpec::of(id, pod, &config, (root, &image_config), confinement, &folders)
            .map_err(RuntimeError::unknown)?;
        if let Some(message) = spec.termination_log.as_ref().filter(|file| file.starts_with(&folder)) {
            fs::write(message, "").map_err(failed)?;
            // Whoever the container runs as may leave a message, as with Kubernetes.
            fs::set_permissions(message, fs::Permissions::from_mode(0o666)).map_err(failed)?;
        }
        records::write(&folder.join(SPEC), &spec).map_err(failed)?;
        let record = ContainerRecord {
            id: id.to_owned(),
            sandbox: sandbox.to_owned(),
            log: spec.log,
            config,
            image,
            image_config,
            created_at: self.now(),
        };
        self.records.write_container(&record).map_err(failed)?;
        Ok(record)
    }

    pub(super) async fn run_container(self: Arc<Self>, id: String) -> Result<()> {
        let sandbox = {
            let state = self.state.lock();
            let container = state.containers.get(&id).ok_or_else(|| no_such("container", &id))?;
            if !matches!(container.life, Life::Created) {
                return Err(RuntimeError::unknown(format!("container {id} was started before")));
            }
            container.record.sandbox.clone()
        };
        let folder = self.records.container(&id).display().to_string();
        match self.ask(&sandbox, &Request::Start { id: id.clone(), folder }).await? {
            Reply::Started(started) => {
                self.started(started);
                Ok(())
            }
            Reply::Failed(why) => {
                // As containerd does: the attempt is over, and says that it never ran.
                let mut ended =
                    Ended { reason: "StartError".to_owned(), code: 128, message: why.clone(), ..self.end_of(&id) };
                ended.started_at = 0;
                self.ended(ended);
                Err(RuntimeError::unknown(why))
            }
            other => Err(RuntimeError::unknown(format!("the sandbox process answered {other:?}"))),
        }
    }

    /// Sends the stop signal, or kills at once when there is no time, and waits for the end. Whoever comes with less time kills sooner.
    pub(super) async fn end_container(self: Arc<Self>, id: String, grace: Duration) -> Result<()> {
        let (mut ended, sandbox, signal) = {
            let state = self.state.lock();
            let Some(container) = state.containers.get(&id) else { return Ok(()) };
            if matches!(container.life, Life::Created) {
                drop(state);
                self.ended(self.end_of(&id));
                return Ok(());
            }
            (container.ended.subscribe(), container.record.sandbox.clone(), number(container.stop_signal()))
        };
        if *ended.borrow() {
            return Ok(());
        }
        if !grace.is_zero() {
            self.signal(&sandbox, &id, signal).await;
            if over(&mut ended, grace).await {
                return Ok(());
            }
        }
        self.signal(&sandbox, &id, nix::libc::SIGKILL).await;
        if over(&mut ended, DEATH).await {
            return Ok(());
        }
        Err(RuntimeError {
            code: tonic::Code::DeadlineExceeded,
            message: format!("failed to kill container {id:?}: context deadline exceeded"),
        })
    }

    /// A sandbox process that does not answer is dead, and the container with it.
    async fn signal(&self, sandbox: &str, container: &str, signal: i32) {
        let request = Request::Signal { container: container.to_owned(), signal };
        match self.ask(sandbox, &request).await {
            Ok(Reply::Failed(why)) => tracing::warn!(container, signal, "cannot signal: {why}"),
            Err(error) => tracing::debug!(container, signal, %error, "cannot signal"),
            Ok(_) => {}
        }
    }

    pub(super) async fn drop_container(self: Arc<Self>, id: String) -> Result<()> {
        Arc::clone(&self).end_container(id.clone(), Duration::ZERO).await?;
        {
            let mut state = self.state.lock();
            let Some(container) = state.containers.remove(&id) else { return Ok(()) };
            self.publish(&state, &container.record.sandbox, &id, ContainerEventType::ContainerDeletedEvent);
        }
        let folder = self.records.container(&id);
        let removed =
            tokio::task::spawn_blocking(move || records::remove(&folder)).await.unwrap_or_else(|why| Err(why.into()));
        removed.map_err(|why| RuntimeError::unknown(format!("cannot remove container {id}: {why}")))
    }

    /// One question to a sandbox process, and its answer.
    pub(super) async fn ask(&self, sandbox: &str, request: &Request) -> Result<Reply> {
        let asked = async {
            let connection = wire::dial(&self.records.sandbox(sandbox))?;
            wire::send(&connection, request, &[]).await?;
            wire::receive::<Reply>(&connection).await?.ok_or_else(|| io::ErrorKind::ConnectionReset.into())
        };
        let answer: io::Result<_> = asked.await;
        match answer {
            Ok((reply, _)) => Ok(reply),
            Err(why) => Err(RuntimeError::unknown(format!("sandbox {sandbox} does not answer: {why}"))),
        }
    }
}

/// Whether a container ends within that time.
async fn over(ended: &mut watch::Receiver<bool>, within: Duration) -> bool {
    // The sender goes away only when the container is removed, which it is after its end.
    timeout(within, ended.wait_for(|ended| *ended)).await.is_ok()
}
