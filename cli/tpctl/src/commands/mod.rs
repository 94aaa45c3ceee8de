//! The commands about objects and traces, one module each.
//!
//! A command that changes something begins a trace: its root span covers the command from the first request to the end of its wait, and every
//! request is a child of it. Commands that only look leave no trace.

mod annotate;
mod api_resources;
mod apply;
mod attach;
mod bench;
mod completion;
mod create;
mod delete;
mod describe;
mod dry_run;
mod events;
mod exec;
mod get;
mod key_values;
mod label;
mod logs;
mod patch;
mod patience;
mod port_forward;
mod reach;
mod rollout;
mod scale;
mod trace;
mod version;
mod wait;

use crate::failure::Interrupted;
use crate::global::Global;
use crate::root_span::{self, RootSpan};
use crate::session::Session;
use anyhow::Result;
use clap::Subcommand;
use std::future::Future;

/// Commands that need no server, or not the apiserver.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Show the journey that a request set in motion, step by step.
    #[command(long_about = trace::ABOUT)]
    Trace(trace::TraceArgs),
    /// Print the kinds that can be named, and how.
    ApiResources(api_resources::ApiResourcesArgs),
    /// Print a shell's completion script.
    #[command(long_about = completion::ABOUT)]
    Completion(completion::CompletionArgs),
    /// Print the version.
    Version,
}

/// Commands that talk to the apiserver.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Create objects from files, or a Deployment, Namespace, ConfigMap or Secret from flags.
    Create(create::CreateArgs),
    /// Make objects what files say: created if missing, changed if different.
    Apply(apply::ApplyArgs),
    /// Show objects.
    Get(get::GetArgs),
    /// Show an object in detail, with what happened to it.
    Describe(describe::DescribeArgs),
    /// Delete objects, and wait until they are gone.
    Delete(delete::DeleteArgs),
    /// Set the number of replicas.
    Scale(scale::ScaleArgs),
    /// Wait until objects are in a state.
    Wait(wait::WaitArgs),
    /// Look at and steer the rollout of a Deployment.
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Set or remove labels.
    Label(label::LabelArgs),
    /// Set or remove annotations.
    Annotate(annotate::AnnotateArgs),
    /// Change fields of an object.
    Patch(patch::PatchArgs),
    /// Print what a container has printed.
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::LogsArgs),
    /// Run a command in a container.
    #[command(after_help = exec::EXAMPLES)]
    Exec(exec::ExecArgs),
    /// Join the process that runs in a container.
    #[command(after_help = attach::EXAMPLES)]
    Attach(attach::AttachArgs),
    /// Forward local ports to a pod.
    #[command(after_help = port_forward::EXAMPLES)]
    PortForward(port_forward::PortForwardArgs),
    /// List events, oldest first.
    Events(events::EventsArgs),
    /// Measure the cluster.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

/// Runs a local command.
pub(crate) async fn run_local(global: &Global, command: LocalCommand) -> Result<()> {
    let work = async {
        match command {
            LocalCommand::Trace(args) => trace::run(global, args).await,
            LocalCommand::ApiResources(args) => api_resources::run(&args),
            LocalCommand::Completion(args) => completion::run(&args),
            LocalCommand::Version => version::run(),
        }
    };
    until_interrupted(work).await
}

/// Runs a command against the apiserver.
pub(crate) async fn run(global: &Global, command: ServerCommand) -> Result<()> {
    let session = Session::open(global)?;
    let (name, is_bench) = (command.root_span(), matches!(command, ServerCommand::Bench(_)));
    let traces = root_span::export(global, name.is_some() || is_bench);
    let root = name.map(RootSpan::start);
    // On the heap: it is as large as the largest of the commands.
    let work = Box::pin(command.run(global, &session));
    let outcome = match &root {
        // It cleans up after itself.
        None if is_bench => work.await,
        Some(root) => until_interrupted(root.around(work)).await,
        None => until_interrupted(work).await,
    };
    if let Some(root) = root {
        root.end(global, &outcome);
    }
    // Sends what is left, for a moment at most.
    drop(traces);
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(session.explain(error).await),
    }
}

async fn until_interrupted(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Interrupted.into()),
    }
}

impl ServerCommand {
    /// The name of the root span, for commands that change something.
    fn root_span(&self) -> Option<&'static str> {
        match self {
            ServerCommand::Create(args) => (!args.sends_nothing()).then_some("tpctl create"),
            ServerCommand::Apply(args) => (!args.sends_nothing()).then_some("tpctl apply"),
            ServerCommand::Delete(_) => Some("tpctl delete"),
            ServerCommand::Scale(_) => Some("tpctl scale"),
            ServerCommand::Rollout(command) => command.root_span(),
            ServerCommand::Label(_) => Some("tpctl label"),
            ServerCommand::Annotate(_) => Some("tpctl annotate"),
            ServerCommand::Patch(_) => Some("tpctl patch"),
            ServerCommand::Exec(_) => Some("tpctl exec"),
            ServerCommand::Attach(_) => Some("tpctl attach"),
            // Each connection has a trace of its own.
            ServerCommand::PortForward(_) => None,
            ServerCommand::Get(_)
            | ServerCommand::Describe(_)
            | ServerCommand::Wait(_)
            | ServerCommand::Logs(_)
            | ServerCommand::Events(_) => None,
            // Each of its pods has a trace of its own.
            ServerCommand::Bench(_) => None,
        }
    }

    async fn run(self, global: &Global, session: &Session) -> Result<()> {
        match self {
            ServerCommand::Create(args) => create::run(session, args).await,
            ServerCommand::Apply(args) => apply::run(session, &args).await,
            ServerCommand::Get(args) => get::run(session, &args).await,
            ServerCommand::Describe(args) => describe::run(session, &args).await,
            ServerCommand::Delete(args) => delete::run(session, &args).await,
            ServerCommand::Scale(args) => scale::run(session, &args).await,
            ServerCommand::Wait(args) => wait::run(session, &args).await,
            ServerCommand::Rollout(command) => rollout::run(session, &command).await,
            ServerCommand::Label(args) => label::run(session, &args).await,
            ServerCommand::Annotate(args) => annotate::run(session, &args).await,
            ServerCommand::Patch(args) => patch::run(session, &args).await,
            ServerCommand::Logs(args) => logs::run(session, &args).await,
            ServerCommand::Exec(args) => exec::run(session, args).await,
            ServerCommand::Attach(args) => attach::run(session, &args).await,
            ServerCommand::PortForward(args) => port_forward::run(session, &args).await,
            ServerCommand::Events(args) => events::run(session, &args).await,
            ServerCommand::Bench(command) => bench::run(global, session, &command).await,
        }
    }
}
