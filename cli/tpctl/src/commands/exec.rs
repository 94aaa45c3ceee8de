//! `tpctl exec`: runs a command in a container; its exit code becomes ours.

use std::time::Duration;

use super::reach::{Purpose, Stdio, explain, find_or_default, pod_of, reached, run as run_session};
use crate::duration::duration;
use crate::failure::Exit;
use crate::session::Session;
use anyhow::{Result, bail};
use api::core::v1::Pod;
use api::rpc::SessionStart;
use clap::Args;
use client::Api;

/// What `--help` shows at its end.
pub(crate) const EXAMPLES: &str = "Examples:
  tpctl exec mypod -- date                        the output of a command, in the first container
  tpctl exec mypod -c ruby -- date                in this container
  tpctl exec mypod -c ruby -it -- bash -il        a shell, with this terminal
  tpctl exec mypod -i -- sh -c 'cat >/tmp/a' <a   with this input
  tpctl exec deploy/web -- date                   in a pod of the Deployment
  tpctl exec svc/web -- date                      in a pod of the Service

Two dashes stand before the command: what follows them is not tpctl's.";

/// Flags of `tpctl exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// POD or TYPE/NAME.
    #[arg(value_name = "POD")]
    target: Vec<String>,
    /// Container to run the command in; the default one of the pod, or its first.
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass our input to the command.
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Our input is a terminal: give the command one, too.
    #[arg(short, long)]
    tty: bool,
    /// Print nothing but what the command prints.
    #[arg(short, long)]
    quiet: bool,
    /// How long to wait until there is a pod.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pod_running_timeout: Duration,
    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `tpctl exec`.
pub(crate) async fn run(session: &Session, args: ExecArgs) -> Result<()> {
    let ExecArgs { target, container, stdin, tty, quiet, pod_running_timeout, command } = args;
    match target.len() {
        0 => bail!("pod, type/name or --filename must be specified"),
        1 => {}
        _ => bail!("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"),
    }
    if command.is_empty() {
        bail!("you must specify at least one command for the container");
    }
    let object = reached(session, &target).await?;
    let (pod, _) = pod_of(session, &object, Purpose::Streams, pod_running_timeout).await?;
    if let phase @ ("Succeeded" | "Failed") = pod.status.phase.as_str() {
        bail!("cannot exec into a container in a completed pod; current phase is {phase}");
    }
    // Whether there is one of that name, the server says.
    let container = match container {
        Some(name) => name,
        None => find_or_default(&pod, None, quiet)?.name,
    };
    let stdio = Stdio::wanted(stdin, tty, quiet);
    let start = SessionStart {
        pod: None,
        container,
        command,
        stdin: stdio.stdin,
        stdout: true,
        stderr: !stdio.tty,
        tty: stdio.tty,
    };
    let pods = Api::<Pod>::namespaced(session.client.clone(), &pod.metadata.namespace);
    let (sender, answers) = pods.exec(&pod.metadata.name, start).await.map_err(explain)?;
    match run_session(stdio, false, sender, answers).await? {
        None | Some(0) => Ok(()),
        Some(code) => {
            let message = format!("command terminated with exit code {code}");
            Err(Exit { code: u8::try_from(code).unwrap_or(1), message }.into())
        }
    }
}
