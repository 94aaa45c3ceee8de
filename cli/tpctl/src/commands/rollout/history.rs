//! `tpctl rollout history` and `tpctl rollout undo`: the revisions are the ReplicaSets that a Deployment has kept.

use super::deployments;
use crate::objects::Object;
use crate::print::columns::NONE;
use crate::print::{Format, describe, out, result_line};
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::apps::v1::{Deployment, ReplicaSet};
use api::controller_ref::is_controlled_by;
use api::core::v1::PodTemplateSpec;
use api::meta::v1::ListOptions;
use api::selector::label::Selector;
use api::template_hash;
use clap::Args;
use client::{Api, Patch};
use serde_json::json;

/// The annotation with a ReplicaSet's revision.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation in which users say why.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// Flags of `tpctl rollout history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// deployment NAME, or deployment/NAME.
    #[arg(value_name = "TYPE|NAME", required = true)]
    resources: Vec<String>,
    /// Show the pod template of this revision.
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
}

/// Flags of `tpctl rollout undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// deployment NAME, or deployment/NAME.
    #[arg(value_name = "TYPE|NAME", required = true)]
    resources: Vec<String>,
    /// The revision to go back to; the one before the current by default.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    to_revision: u64,
}

/// `tpctl rollout history`.
pub(super) async fn show(session: &Session, args: &HistoryArgs) -> Result<()> {
    for name in deployments(&args.resources)? {
        let (deployment, history) = history(session, &name).await?;
        let full_name = Object::of(deployment).full_name();
        let Some(wanted) = args.revision else {
            out(&format!("{full_name} \n{}\n", table(&history)))?;
            continue;
        };
        let (_, set) = history.iter().find(|(revision, _)| *revision == wanted).with_context(|| no_revision(wanted))?;
        out(&format!("{full_name} with revision #{wanted}\n{}", describe::pod_template(&set.spec.template)))?;
    }
    Ok(())
}

/// `tpctl rollout undo`.
pub(super) async fn undo(session: &Session, args: &UndoArgs) -> Result<()> {
    for name in deployments(&args.resources)? {
        let (deployment, history) = history(session, &name).await?;
        if deployment.spec.paused {
            bail!(
                "you cannot rollback a paused deployment; resume it first with 'tpctl rollout resume deployment/{name}' and try again"
            );
        }
        let (revision, set) = target(&history, args.to_revision).with_context(|| match args.to_revision {
            0 => format!("no rollout history found for deployment {name:?}"),
            wanted => no_revision(wanted),
        })?;
        let template = without_hash(&set.spec.template);
        if template == without_hash(&deployment.spec.template) {
            let object = Object::of(deployment);
            out(&format!(
                "{} skipped rollback (current template already matches revision {revision})\n",
                object.full_name()
            ))?;
            continue;
        }
        let patch = Patch::Json(json!([{ "op": "replace", "path": "/spec/template", "value": template }]));
        let rolled_back = deployments_of(session).patch(&name, &patch).await?;
        out(&result_line(&Object::of(rolled_back), "rolled back", Format::Table))?;
    }
    Ok(())
}

fn no_revision(wanted: u64) -> String {
    format!("unable to find specified revision {wanted} in history")
}

fn deployments_of(session: &Session) -> Api<Deployment> {
    Api::namespaced(session.client.clone(), &session.namespace)
}

/// A Deployment and its ReplicaSets with their revisions, oldest first.
async fn history(session: &Session, name: &str) -> Result<(Deployment, Vec<(u64, ReplicaSet)>)> {
    let deployment = deployments_of(session).get(name).await?;
    let labels = Selector::of(deployment.spec.selector.as_ref()).map_err(api::Error::from)?.to_string();
    let sets = Api::<ReplicaSet>::namespaced(session.client.clone(), &session.namespace);
    let found = sets.list(ListOptions { label_selector: labels, ..ListOptions::default() }).await?;
    let own = found.items.into_iter().filter(|set| is_controlled_by(&set.metadata, &deployment.metadata));
    let revision = |set: &ReplicaSet| set.metadata.annotations.get(REVISION).and_then(|text| text.parse().ok());
    let mut history: Vec<(u64, ReplicaSet)> = own.filter_map(|set| Some((revision(&set)?, set))).collect();
    history.sort_by_key(|(revision, _)| *revision);
    Ok((deployment, history))
}

/// The revision that is wanted, or the last but one.
fn target(history: &[(u64, ReplicaSet)], wanted: u64) -> Option<&(u64, ReplicaSet)> {
    match wanted {
        0 => history.iter().rev().nth(1),
        wanted => history.iter().find(|(revision, _)| *revision == wanted),
    }
}

/// The template as the Deployment has it: the label that tells ReplicaSets apart is not part of it.
fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    template.metadata.labels.remove(template_hash::LABEL);
    template
}

fn table(history: &[(u64, ReplicaSet)]) -> String {
    let width = "REVISION".len() + 2;
    let mut text = format!("{:width$}CHANGE-CAUSE\n", "REVISION");
    for (revision, set) in history {
        let cause = set.metadata.annotations.get(CHANGE_CAUSE).map_or(NONE, String::as_str);
        text.push_str(&format!("{revision:<width$}{cause}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revisions(numbers: &[u64]) -> Vec<(u64, ReplicaSet)> {
        numbers.iter().map(|number| (*number, ReplicaSet::default())).collect()
    }

    #[test]
    fn undo_goes_to_the_revision_before_unless_told_otherwise() {
        let history = revisions(&[1, 3, 4]);
        assert_eq!(target(&history, 0).map(|(n, _)| *n), Some(3));
        assert_eq!(target(&history, 1).map(|(n, _)| *n), Some(1));
        assert_eq!(target(&history, 2), None);
        assert_eq!(target(&revisions(&[1]), 0), None);
    }

    #[test]
    fn the_history_says_why_where_users_did() {
        let mut history = revisions(&[1, 2]);
        history[1].1.metadata.annotations.insert(CHANGE_CAUSE.into(), "a new image".into());
        assert_eq!(table(&history), "REVISION  CHANGE-CAUSE\n1         <none>\n2         a new image\n");
    }
}
