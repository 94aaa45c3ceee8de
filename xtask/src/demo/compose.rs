//! The containers of docker-compose.yml, by whichever compose is installed: `docker compose` or docker-compose 1.29.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpSocket;

use crate::shell::{quiet, root, show};

/// How long all containers may take to become healthy.
const PATIENCE: Duration = Duration::from_secs(120);

/// One compose project.
#[derive(Debug, Clone)]
pub(crate) struct Compose {
    program: &'static [&'static str],
    /// What the commands get beside our own environment.
    overrides: Vec<(&'static str, String)>,
    /// Whether compose may build the images, or even ask a registry for them.
    may_build: bool,
    /// Keeps its ports from being given to somebody else.
    _reserved: Arc<[TcpSocket]>,
}

impl Compose {
    /// The user's own project, with whatever the user's environment says.
    pub(crate) fn find() -> Result<Compose> {
        let program = program().context("there is neither `docker compose` nor docker-compose; install one of them")?;
        Ok(Compose { program, overrides: Vec::new(), may_build: true, _reserved: Arc::default() })
    }

    /// A project for the test, with images that were built here, beside whatever the user runs; nothing if there is no compose.
    pub(crate) fn for_test() -> Result<Option<Compose>> {
        let Some(program) = program() else { return Ok(None) };
        let folder = root().join("target/compose-test");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut overrides = vec![
            ("COMPOSE_PROJECT_NAME", "traceplane-test".to_owned()),
            ("COMPOSE_FILE", "docker-compose.yml:docker-compose.local.yml".to_owned()),
            ("KUBECONFIG_FOLDER", folder.display().to_string()),
        ];
        let names = ["APISERVER_PORT", "ETCD_PORT", "OTLP_PORT", "JAEGER_PORT"];
        let reserved =
            names.iter().map(|_| reserve_port()).collect::<io::Result<Arc<_>>>().context("no port is free")?;
        for (name, socket) in names.into_iter().zip(reserved.iter()) {
            overrides.push((name, socket.local_addr()?.port().to_string()));
        }
        Ok(Some(Compose { program, overrides, may_build: false, _reserved: reserved }))
    }

    /// The project's name, by which Docker labels all that belongs to it.
    pub(crate) fn project(&self) -> String {
        self.setting("COMPOSE_PROJECT_NAME")
    }

    /// What the user types.
    pub(super) fn name(&self) -> String {
        self.program.join(" ")
    }

    /// The admin's kubeconfig, which the cluster writes for the host.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        root().join(self.setting("KUBECONFIG_FOLDER")).join("admin.kubeconfig")
    }

    /// How tpctl reaches this cluster.
    pub(super) fn environment(&self) -> [(&'static str, String); 3] {
        let local = |port| format!("http://127.0.0.1:{}", self.setting(port));
        [
            ("TRACEPLANE_KUBECONFIG", self.kubeconfig().display().to_string()),
            ("TRACEPLANE_QUERY_URL", local("JAEGER_PORT")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", local("OTLP_PORT")),
        ]
    }

    /// The value that compose will see: ours, the environment's, or that of .env.
    fn setting(&self, name: &str) -> String {
        let ours = self.overrides.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        let file = std::fs::read_to_string(root().join(".env")).unwrap_or_default();
        let of_file = || file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
        ours.or_else(|| std::env::var(name).ok()).or_else(of_file).unwrap_or_default()
    }

    /// A compose command for this project.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program[0]);
        let overrides = self.overrides.iter().map(|(name, value)| (name, value));
        command.args(&self.program[1..]).args(args).envs(overrides).current_dir(root());
        command
    }

    pub(super) fn is_running(&self) -> bool {
        quiet(&mut self.command(&["ps", "--quiet", "apiserver"])).is_ok_and(|ids| !ids.trim().is_empty())
    }

    /// Starts all containers and waits until each that has a health check is healthy.
    pub(super) async fn up(&self) -> Result<()> {
        let mut args = vec!["up", "--detach"];
        if !self.may_build {
            args.push("--no-build");
        }
        // The file's number of nodes is for a cluster that begins; one that runs keeps those that it has.
        let nodes =
            quiet(&mut self.command(&["ps", "--quiet", "kubelet"])).map_or(0, |ids| ids.split_whitespace().count());
        let nodes = format!("kubelet={nodes}");
        if nodes != "kubelet=0" {
            args.extend(["--scale", &nodes]);
        }
        println!("$ {} {}", self.name(), args.join(" "));
        ensure!(show(&mut self.command(&args))?.success(), "`{} up` failed", self.name());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let unhealthy = self.unhealthy()?;
            if unhealthy.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "not healthy in time: {}", unhealthy.join(", "));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    pub(super) async fn down(&self) -> Result<()> {
        println!("$ {} down --volumes", self.name());
        ensure!(show(&mut self.command(&["down", "--volumes"]))?.success(), "`{} down` failed", self.name());
        Ok(())
    }

    /// Names and states of the containers that are not well. One-shot containers that succeeded are.
    fn unhealthy(&self) -> Result<Vec<String>> {
        let ids = quiet(&mut self.command(&["ps", "--all", "--quiet"]))?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        ensure!(!ids.is_empty(), "no container was started");
        let format =
            "{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{end}}";
        let states = quiet(Command::new("docker").args(["inspect", "--format", format]).args(ids))?;
        Ok(states.lines().filter(|line| !is_well(line)).map(|line| line.trim_start_matches('/').to_owned()).collect())
    }
}

/// A port that nobody else is given as long as the socket is bound. Docker can listen there, for it shares addresses as this socket does.
fn reserve_port() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(socket)
}

/// Judges a line of `docker inspect`: name, state, exit code, and health where it is checked.
fn is_well(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    matches!(words[..], ["running", _] | ["running", _, "healthy"] | ["exited", "0", ..])
}

fn program() -> Option<&'static [&'static str]> {
    const V2: &[&str] = &["docker", "compose"];
    const V1: &[&str] = &["docker-compose"];
    if quiet(Command::new("docker").args(["compose", "version"])).is_ok() {
        return Some(V2);
    }
    quiet(Command::new("docker-compose").arg("version")).is_ok().then_some(V1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_well_when_healthy_or_done() {
        for (line, well) in [
            ("/traceplane_apiserver_1 running 0 healthy", true),
            ("/traceplane_jaeger_1 running 0 ", true),
            ("/traceplane_pki_1 exited 0 ", true),
            ("/traceplane_apiserver_1 running 0 starting", false),
            ("/traceplane_apiserver_1 running 0 unhealthy", false),
            ("/traceplane_pki_1 exited 1 ", false),
            ("/traceplane_pki_1 created 0 ", false),
        ] {
            assert_eq!(is_well(line), well, "{line}");
        }
    }
}
