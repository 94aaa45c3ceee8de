//! The foreign client: Python, with code that grpcio-tools makes from proto/, against a cluster of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::report::Report;
use crate::shell::{built, quiet, root, watch};

const NAME: &str = "Python client";

pub(super) fn run(report: &mut Report) -> Result<()> {
    let python = match environment() {
        Ok(python) => python,
        Err(error) => {
            report.skip(NAME, format!("{error:#}"));
            return Ok(());
        }
    };
    let cluster = Cluster::start()?;
    let mut test = Command::new(python);
    test.args(["-B", "-m", "unittest", "discover", "-v", "-s", "tests/python"]).env("KUBECONFIG", cluster.kubeconfig());
    let mut count = 0;
    let status = watch(&mut test, |line| {
        let ran = line.strip_prefix("Ran ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        count = ran.unwrap_or(count);
    })?;
    ensure!(status.success(), "it did not do what a client must be able to do; see above");
    ensure!(count > 0, "no test was found in tests/python");
    report.pass(count);
    Ok(())
}

/// A Python with the client's packages, kept below target/ between runs. The error says what is missing.
fn environment() -> Result<PathBuf> {
    let folder = root().join("target/python");
    let python = folder.join("bin/python");
    let wanted = root().join("tests/python/requirements.txt");
    let installed = folder.join("requirements.txt");
    let (text, have) = (std::fs::read_to_string(&wanted)?, std::fs::read_to_string(&installed).unwrap_or_default());
    if have != text {
        quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
            .context("python3 cannot make a virtual environment (Debian and Ubuntu: apt-get install python3-venv)")?;
        quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&wanted))
            .context("pip cannot install tests/python/requirements.txt")?;
        std::fs::write(&installed, text)?;
    }
    Ok(python)
}

/// A cluster that is gone when this is.
struct Cluster {
    state: PathBuf,
}

impl Cluster {
    fn start() -> Result<Cluster> {
        let cluster = Cluster { state: root().join("target/python-cluster") };
        // What a run that was killed has left behind.
        cluster.down();
        quiet(cluster.tpctl()?.args(["up", "--nodes", "2", "--ports", "free"]))
            .context("no cluster could be started")?;
        Ok(cluster)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    fn tpctl(&self) -> Result<Command> {
        let mut tpctl = Command::new(built("tpctl")?);
        tpctl.arg("--state-dir").arg(&self.state);
        Ok(tpctl)
    }

    fn down(&self) {
        if let Err(error) = self.tpctl().and_then(|mut tpctl| quiet(tpctl.args(["down", "--purge"]))) {
            eprintln!("warning: the cluster in {} may still run: {error:#}", self.state.display());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.down();
    }
}
