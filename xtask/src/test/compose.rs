//! The cluster of docker-compose.yml: images built here, everything healthy, the demo from the host, and nothing left.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::report::Report;
use crate::demo::{self, Compose};
use crate::shell::{quiet, show};

const NAME: &str = "docker compose";

pub(super) fn run(report: &mut Report) -> Result<()> {
    if let Err(error) = quiet(Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"])) {
        report.skip(NAME, format!("the Docker engine does not answer: {error:#}"));
        return Ok(());
    }
    let Some(compose) = Compose::for_test()? else {
        report.skip(NAME, "there is neither `docker compose` nor docker-compose");
        return Ok(());
    };
    if !cfg!(target_os = "linux") {
        report.skip(NAME, "the images are made from programs built here, which must be for Linux");
        return Ok(());
    }

    let images = show(Command::new("scripts/local-images").env("PROFILE", "dev"))?;
    ensure!(images.success(), "the images could not be built");
    // What a run that was killed has left behind.
    quiet(&mut compose.command(&["down", "--volumes", "--remove-orphans"])).context("cannot clean up")?;
    let outcome = demo::show_on_compose(&compose);
    quiet(&mut compose.command(&["down", "--volumes", "--remove-orphans"])).context("cannot stop")?;
    outcome?;
    nothing_left(&compose)?;
    report.pass(1);
    Ok(())
}

/// After `down --volumes`, docker knows nothing of the project any more.
fn nothing_left(compose: &Compose) -> Result<()> {
    let label = format!("label=com.docker.compose.project={}", compose.project());
    for (what, list) in [
        ("containers", &["ps", "--all", "--quiet"][..]),
        ("volumes", &["volume", "ls", "--quiet"]),
        ("networks", &["network", "ls", "--quiet"]),
    ] {
        let left = quiet(Command::new("docker").args(list).args(["--filter", &label]))?;
        ensure!(left.trim().is_empty(), "`down --volumes` left {what}: {}", left.trim().replace('\n', ", "));
    }
    Ok(())
}
