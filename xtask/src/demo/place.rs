//! Where the demo's cluster runs, and how it is reached. Knows nothing of what the demo shows.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::compose::Compose;
use crate::shell::{built, root};

/// A cluster on this machine.
pub(super) struct Place {
    tpctl: PathBuf,
    /// Without it, the cluster is that of `tpctl up` in its usual folder.
    compose: Option<Compose>,
}

impl Place {
    /// Processes of this machine, as `make up` starts them.
    pub(super) fn machine() -> Result<Place> {
        Ok(Place { tpctl: built("tpctl")?, compose: None })
    }

    /// The containers of docker-compose.yml.
    pub(super) fn compose(compose: Compose) -> Result<Place> {
        Ok(Place { tpctl: built("tpctl")?, compose: Some(compose) })
    }

    /// Whether a cluster runs here already.
    pub(super) async fn is_running(&self) -> bool {
        match &self.compose {
            Some(compose) => compose.is_running(),
            None => self.ask(&["status"]).await.is_ok(),
        }
    }

    /// Starts what does not run and waits until all of it is ready.
    pub(super) async fn up(&self) -> Result<()> {
        match &self.compose {
            Some(compose) => compose.up().await,
            None => self.show(&["up"]).await,
        }
    }

    /// Stops the cluster and deletes its state.
    pub(super) async fn down(&self) -> Result<()> {
        match &self.compose {
            Some(compose) => compose.down().await,
            None => self.show(&["down", "--purge"]).await,
        }
    }

    /// What a person may type next.
    pub(super) fn how_to_go_on(&self) -> String {
        match &self.compose {
            Some(compose) => format!(
                "Try: {} --kubeconfig {} get pods -o wide. `{} down --volumes` stops it.",
                self.tpctl.display(),
                compose.kubeconfig().display(),
                compose.name()
            ),
            None => format!("Try: {} get pods -o wide. `make down` stops it.", self.tpctl.display()),
        }
    }

    /// Types a tpctl command: its output goes to the screen.
    pub(super) async fn show(&self, args: &[&str]) -> Result<()> {
        println!("$ tpctl {}", args.join(" "));
        let status = self.command(args).stdin(Stdio::null()).status().await.context("cannot start tpctl")?;
        if !status.success() {
            bail!("`tpctl {}` failed", args.join(" "));
        }
        Ok(())
    }

    /// Runs a tpctl command for what it prints. The error is what it complains of.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output().await.context("cannot start tpctl")?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("`tpctl {}` failed: {complaint}", args.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.tpctl);
        // A command that is waited for no longer (Ctrl-C) must not go on behind our back.
        command.args(args).current_dir(root()).kill_on_drop(true);
        if let Some(compose) = &self.compose {
            command.envs(compose.environment());
        }
        command
    }
}
