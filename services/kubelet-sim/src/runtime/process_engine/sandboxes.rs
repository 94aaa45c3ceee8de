//! Sandboxes: a process, an address, and the files that tell a pod who it is.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::records::{self, SPEC, SandboxRecord};
use super::sandbox::wire::{self, Request};
use super::sandbox::{ARGUMENT, READY};
use super::spec::{SandboxSpec, hostname};
use super::state::Sandbox;
use super::{ProcessEngine, new_id};
use crate::cri::{self, ContainerEventType};
use crate::runtime::{Result, RuntimeError};

/// How long a sandbox process may take to serve, and to end when it is told to.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What Kubernetes writes before a pod's own addresses.
const HOSTS: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";

impl ProcessEngine {
    pub(super) async fn make_sandbox(self: Arc<Self>, request: cri::RunPodSandboxRequest) -> Result<String> {
        let config = request.config.ok_or_else(|| RuntimeError::unknown("a sandbox needs a config"))?;
        self.policy.admit(&config)?;
        let id = new_id();
        let folder = self.records.sandbox(&id);
        let spec = SandboxSpec::of(&id, &config, millis(self.options.adoption_timeout));
        let made = self.set_up(&spec, &config, &folder).await;
        let address = match made {
            Ok(address) => address,
            Err(why) => {
                self.tear_down(&id, &folder).await;
                let text = format!("failed to create sandbox {id:?}: ");
                return Err(RuntimeError { message: text + &why.message, ..why });
            }
        };
        let record = SandboxRecord {
            id: id.clone(),
            config,
            runtime_handler: request.runtime_handler,
            created_at: self.now(),
            address,
            ready: true,
        };
        self.records
            .write_sandbox(&record)
            .map_err(|why| RuntimeError::unknown(format!("cannot record a sandbox: {why}")))?;
        {
            let mut state = self.state.lock();
            state.sandboxes.insert(id.clone(), Sandbox::new(record));
            self.publish(&state, &id, &id, ContainerEventType::ContainerStartedEvent);
        }
        // A process that has died by now is noticed at once.
        self.hold(&id).await;
        Ok(id)
    }

    async fn set_up(
        &self,
        spec: &SandboxSpec,
        config: &cri::PodSandboxConfig,
        folder: &Path,
    ) -> Result<Option<Ipv4Addr>> {
        let failed = |why: io::Error| RuntimeError::unknown(why.to_string());
        fs::create_dir_all(folder).map_err(failed)?;
        if !config.log_directory.is_empty() {
            fs::create_dir_all(&config.log_directory).map_err(failed)?;
        }
        records::write(&folder.join(SPEC), spec).map_err(failed)?;
        let pid = self.start_process(folder).await?;
        let address = if spec.host_network {
            None
        } else {
            let (network, id) = (Arc::clone(&self.network), spec.id.clone());
            let attached = tokio::task::spawn_blocking(move || network.attach(&id, pid)).await;
            Some(
                attached
                    .map_err(|why| RuntimeError::unknown(format!("failed to setup network for sandbox: {why}")))??,
            )
        };
        write_files(folder, config, address).map_err(failed)?;
        Ok(address)
    }

    /// Starts the sandbox process, and returns when it serves.
    async fn start_process(&self, folder: &Path) -> Result<Pid> {
        let failed = |why: io::Error| RuntimeError::unknown(format!("cannot start the sandbox process: {why}"));
        let mut command = Command::new(&self.options.program);
        command.arg(ARGUMENT).arg(folder).env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let line = async {
            let Some(output) = child.stdout.take() else { return Ok(None) };
            BufReader::new(output).lines().next_line().await
        };
        let said = timeout(PATIENCE, line).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match (said.map_err(failed)?, pid) {
            (Some(line), Some(pid)) if line == READY => Ok(pid),
            (line, _) => {
                // It ends by itself when it has said why; this is for one that has not.
                let _ = child.start_kill();
                Err(RuntimeError::unknown(line.unwrap_or_else(|| "the sandbox process died".to_owned())))
            }
        }
    }

    /// Kills what runs in a sandbox and gives back what it had. Idempotent.
    pub(super) async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let Some(gone) = self.state.lock().sandboxes.get(id).map(|sandbox| sandbox.gone.clone()) else { return Ok(()) };
        if gone.is_cancelled() {
            return Ok(());
        }
        end_process(&self.records.sandbox(id)).await;
        if timeout(PATIENCE, gone.cancelled()).await.is_err() {
            return Err(RuntimeError::unknown(format!("sandbox {id} does not end")));
        }
        Ok(())
    }

    pub(super) async fn remove_sandbox(self: Arc<Self>, id: String) -> Result<()> {
        self.stop_sandbox(&id).await?;
        let containers: Vec<String> =
            self.state.lock().containers_of(&id).map(|container| container.record.id.clone()).collect();
        for container in containers {
            Arc::clone(&self).drop_container(container).await?;
        }
        {
            let mut state = self.state.lock();
            // Subscribers still see the sandbox this once, to know which pod the event is about.
            self.publish(&state, &id, &id, ContainerEventType::ContainerDeletedEvent);
            let removed = state.sandboxes.remove(&id);
            // The users of the pod are free when its last sandbox is gone.
            let uid = removed.as_ref().and_then(Sandbox::pod_uid);
            if let Some(uid) = uid.filter(|uid| !state.sandboxes.values().any(|other| other.pod_uid() == Some(uid))) {
                self.policy.release(uid);
            }
        }
        let folder = self.records.sandbox(&id);
        records::remove(&folder).map_err(|why| RuntimeError::unknown(format!("cannot remove sandbox {id}: {why}")))
    }

    /// Takes away what a sandbox had that never came to be.
    async fn tear_down(&self, id: &str, folder: &Path) {
        end_process(folder).await;
        let (network, id) = (Arc::clone(&self.network), id.to_owned());
        // It only fails if it panics.
        let _ = tokio::task::spawn_blocking(move || network.detach(&id)).await;
        if let Err(why) = records::remove(folder) {
            tracing::warn!("cannot remove {}: {why}", folder.display());
        }
    }
}

/// Ends the sandbox process that serves in `folder`, and returns when it has; at once if there is none.
pub(super) async fn end_process(folder: &Path) {
    let Ok(connection) = wire::dial(folder) else { return };
    let peer = getsockopt(&connection, PeerCredentials);
    let ended = async {
        if wire::send(&connection, &Request::Stop, &[]).await.is_ok() {
            // Nothing is answered; the connection ends with the process.
            let _ = wire::receive::<()>(&connection).await;
        }
    };
    if timeout(PATIENCE, ended).await.is_err()
        && let Ok(peer) = peer
    {
        // Its children die with it.
        let _ = kill(Pid::from_raw(peer.pid()), Signal::SIGKILL);
    }
}

fn write_files(folder: &Path, config: &cri::PodSandboxConfig, address: Option<Ipv4Addr>) -> io::Result<()> {
    let hostname = hostname(config);
    fs::write(folder.join("hostname"), format!("{hostname}\n"))?;
    match address {
        Some(address) => fs::write(folder.join("hosts"), format!("{HOSTS}{address}\t{hostname}\n"))?,
        None => drop(fs::copy("/etc/hosts", folder.join("hosts"))?),
    }
    let resolver = folder.join("resolv.conf");
    match &config.dns_config {
        Some(dns) => fs::write(resolver, resolv_conf(dns)),
        None => match fs::copy("/etc/resolv.conf", &resolver) {
            // A machine without one has no names to offer.
            Err(why) if why.kind() == io::ErrorKind::NotFound => fs::write(resolver, ""),
            copied => copied.map(drop),
        },
    }
}

fn resolv_conf(dns: &cri::DnsConfig) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text += &format!("search {}\n", dns.searches.join(" "));
    }
    dns.servers.iter().for_each(|server| text += &format!("nameserver {server}\n"));
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    text
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
