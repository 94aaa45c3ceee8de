//! `tpctl attach`: joins the process that runs in a container. What it printed before is in its logs.

use std::time::Duration;

use super::reach::{Purpose, Stdio, explain, find_or_default, pod_of, reached, run as run_session};
use crate::duration::duration;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::core::v1::Pod;
use api::rpc::SessionStart;
use clap::Args;
use client::Api;

/// What `--help` shows at its end.
pub(crate) const EXAMPLES: &str = "Examples:
  tpctl attach mypod                 what the default or first container prints from now on
  tpctl attach mypod -c ruby         what this container prints
  tpctl attach mypod -c ruby -it     with this terminal, for a container with stdin and tty
  tpctl attach rs/web                a pod of the ReplicaSet";

/// Flags of `tpctl attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// POD, TYPE/NAME or TYPE NAME.
    #[arg(value_name = "POD")]
    target: Vec<String>,
    /// Container to join; the default one of the pod, or its first.
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass our input to the container.
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Our input is a terminal, as the container's is.
    #[arg(short, long)]
    tty: bool,
    /// Print nothing but what the container prints.
    #[arg(short, long)]
    quiet: bool,
    /// How long to wait until there is a pod.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pod_running_timeout: Duration,
}

/// `tpctl attach`.
pub(crate) async fn run(session: &Session, args: &AttachArgs) -> Result<()> {
    match args.target.len() {
        0 => bail!("at least 1 argument is required for attach"),
        1 | 2 => {}
        count => bail!(
            "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {count}: [{}]",
            args.target.join(" ")
        ),
    }
    if args.pod_running_timeout.is_zero() {
        bail!("--pod-running-timeout must be higher than zero");
    }
    let object = reached(session, &args.target).await?;
    let (pod, _) = pod_of(session, &object, Purpose::Streams, args.pod_running_timeout).await?;
    if let phase @ ("Succeeded" | "Failed") = pod.status.phase.as_str() {
        bail!("cannot attach a container in a completed pod; current phase is {phase}");
    }
    let container =
        find_or_default(&pod, args.container.as_deref(), args.quiet).context("cannot attach to the container")?;
    if args.tty && !container.tty && !args.quiet {
        eprintln!("error: Unable to use a TTY - container {} did not allocate one", container.name);
    }
    // With a terminal or without is the container's choice; ours is raw only if it is one.
    let stdio = Stdio::wanted(args.stdin, container.tty, args.quiet);
    if !args.quiet {
        eprintln!(
            "All commands and output from this session will be recorded in container logs, including credentials and sensitive \
             information passed through the command prompt."
        );
        eprintln!("If you don't see a command prompt, try pressing enter.");
    }
    let start = SessionStart {
        pod: None,
        container: container.name.clone(),
        command: Vec::new(),
        stdin: stdio.stdin,
        stdout: true,
        stderr: !container.tty,
        tty: container.tty,
    };
    let pod_name = &pod.metadata.name;
    let pods = Api::<Pod>::namespaced(session.client.clone(), &pod.metadata.namespace);
    let (sender, answers) = pods.attach(pod_name, start).await.map_err(explain)?;
    // The container's exit code is the container's; kubectl does not make it its own either.
    run_session(stdio, true, sender, answers).await?;
    if stdio.tty && !args.quiet {
        let (container, namespace) = (&container.name, &pod.metadata.namespace);
        println!("Session ended, resume using 'tpctl attach {pod_name} -c {container} -n {namespace} -i -t' command");
    }
    Ok(())
}
