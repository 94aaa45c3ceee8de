//! `tpctl rollout`: the rollout of a Deployment, watched and steered.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-back-a-deployment>

mod history;
mod status;

use crate::failure::Several;
use crate::objects::Targets;
use crate::print::{Format, out, result_line};
use crate::session::Session;
use anyhow::{Result, bail};
use api::KindInfo;
use api::apps::v1::Deployment;
use api::{Resource, meta::v1::PatchOptions};
use clap::{Args, Subcommand};
use client::{Api, Patch};
use jiff::Timestamp;
use serde_json::json;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Show how far a rollout is, until it is done.
    Status(status::StatusArgs),
    /// Show the revisions that can be gone back to.
    History(history::HistoryArgs),
    /// Go back to an earlier revision.
    Undo(history::UndoArgs),
    /// Replace all pods, without changing anything else.
    Restart(RolloutArgs),
    /// Hold the rollout where it is.
    Pause(RolloutArgs),
    /// Let a held rollout go on.
    Resume(RolloutArgs),
}

/// Flags that name Deployments.
#[derive(Debug, Args)]
pub(crate) struct RolloutArgs {
    /// deployment NAME ..., or deployment/NAME ...
    #[arg(value_name = "TYPE|NAME", required = true)]
    resources: Vec<String>,
}

impl RolloutCommand {
    /// The name of the root span, for commands that change something.
    pub(crate) fn root_span(&self) -> Option<&'static str> {
        match self {
            RolloutCommand::Status(_) | RolloutCommand::History(_) => None,
            RolloutCommand::Undo(_) => Some("tpctl rollout undo"),
            RolloutCommand::Restart(_) => Some("tpctl rollout restart"),
            RolloutCommand::Pause(_) => Some("tpctl rollout pause"),
            RolloutCommand::Resume(_) => Some("tpctl rollout resume"),
        }
    }
}

/// `tpctl rollout`.
pub(crate) async fn run(session: &Session, command: &RolloutCommand) -> Result<()> {
    match command {
        RolloutCommand::Status(args) => status::run(session, args).await,
        RolloutCommand::History(args) => history::show(session, args).await,
        RolloutCommand::Undo(args) => history::undo(session, args).await,
        RolloutCommand::Restart(args) => change(session, args, "restarted", restart).await,
        RolloutCommand::Pause(args) => change(session, args, "paused", |d| pause(d, true)).await,
        RolloutCommand::Resume(args) => change(session, args, "resumed", |d| pause(d, false)).await,
    }
}

/// Patches each Deployment with what `decide` makes of it.
async fn change(
    session: &Session,
    args: &RolloutArgs,
    done: &str,
    decide: impl Fn(&Deployment) -> Result<Patch>,
) -> Result<()> {
    let mut failures = Vec::new();
    for name in deployments(&args.resources)? {
        let change = async {
            let deployment =
                Api::<Deployment>::namespaced(session.client.clone(), &session.namespace).get(&name).await?;
            let api = session.api(Deployment::INFO);
            let patch = decide(&deployment)?;
            let changed = api.patch(&session.namespace, &name, &patch, PatchOptions::default()).await?;
            out(&result_line(&changed, done, Format::Table))
        };
        if let Err(error) = change.await {
            failures.push(error);
        }
    }
    Several::of(failures)
}

fn restart(deployment: &Deployment) -> Result<Patch> {
    if deployment.spec.paused {
        let name = &deployment.metadata.name;
        bail!("can't restart paused deployment (run rollout resume first): deployments.apps {name:?}");
    }
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let metadata = json!({ "annotations": { "kubectl.kubernetes.io/restartedAt": now } });
    Ok(Patch::Merge(json!({ "spec": { "template": { "metadata": metadata } } })))
}

fn pause(deployment: &Deployment, paused: bool) -> Result<Patch> {
    if deployment.spec.paused == paused {
        let state = if paused { "already paused" } else { "not paused" };
        bail!("deployments.apps {:?} is {state}", deployment.metadata.name);
    }
    Ok(Patch::Merge(json!({ "spec": { "paused": if paused { json!(true) } else { json!(null) } } })))
}

/// The names of the Deployments that are meant.
fn deployments(resources: &[String]) -> Result<Vec<String>> {
    let is_deployment = |kind: &KindInfo| kind.same_kind(Deployment::INFO);
    match Targets::parse(resources)? {
        Targets::Named(named) => match named.iter().find(|(kind, _)| !is_deployment(kind)) {
            Some((kind, _)) => bail!("{} has no rollout; deployments have", kind.plural),
            None => Ok(named.into_iter().map(|(_, name)| name).collect()),
        },
        Targets::Kinds(_) => bail!("name a deployment: deployment/NAME"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_can_be_held_once_and_not_restarted_then() {
        let mut deployment = Deployment::default();
        assert!(pause(&deployment, true).is_ok() && restart(&deployment).is_ok());
        assert!(pause(&deployment, false).is_err());
        deployment.spec.paused = true;
        assert!(pause(&deployment, true).is_err() && restart(&deployment).is_err());
        assert!(pause(&deployment, false).is_ok());
    }
}
