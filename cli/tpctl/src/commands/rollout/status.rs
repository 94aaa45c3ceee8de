//! `tpctl rollout status`: says how far a rollout is whenever that changes, until it is done.

use super::deployments;
use crate::commands::patience::within;
use crate::duration::duration;
use crate::objects::{Object, until};
use crate::print::out;
use crate::session::Session;
use anyhow::{Result, bail};
use api::Resource;
use api::apps::v1::Deployment;
use clap::{ArgAction, Args};
use std::time::Duration;

/// Flags of `tpctl rollout status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// deployment NAME, or deployment/NAME.
    #[arg(value_name = "TYPE|NAME", required = true)]
    resources: Vec<String>,
    /// Whether to wait until the rollout is done.
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    watch: Option<bool>,
    /// How long to wait; 0 is for ever.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = duration)]
    timeout: Duration,
}

/// How far a rollout is.
#[derive(Debug, PartialEq)]
enum Progress {
    Done(String),
    Going(String),
}

/// `tpctl rollout status`.
pub(super) async fn run(session: &Session, args: &StatusArgs) -> Result<()> {
    let timeout = Some(args.timeout).filter(|timeout| !timeout.is_zero());
    for name in deployments(&args.resources)? {
        let api = session.api(Deployment::INFO);
        let (mut told, once) = (String::new(), args.watch == Some(false));
        let met = |object: Option<&Object>| {
            let Some(deployment) = object.and_then(Object::typed::<Deployment>) else {
                return Err(api::Error::not_found("apps", "deployments", &name).into());
            };
            let (text, done) = match progress(deployment)? {
                Progress::Done(text) => (text, true),
                Progress::Going(text) => (text, once),
            };
            if text != told {
                out(&format!("{text}\n"))?;
                told = text;
            }
            Ok(done)
        };
        let wait = until(&*api, &session.namespace, &name, met);
        within(timeout, || format!("deployments/{name}"), wait).await?;
    }
    Ok(())
}

fn progress(deployment: &Deployment) -> Result<Progress> {
    let (name, status) = (&deployment.metadata.name, &deployment.status);
    if status.observed_generation < deployment.metadata.generation {
        return Ok(Progress::Going("Waiting for deployment spec update to be observed...".to_owned()));
    }
    let condition = status.conditions.iter().find(|c| c.r#type == "Progressing");
    if condition.is_some_and(|c| c.reason == "ProgressDeadlineExceeded") {
        bail!("deployment {name:?} exceeded its progress deadline");
    }
    let going =
        |what: String| Ok(Progress::Going(format!("Waiting for deployment {name:?} rollout to finish: {what}...")));
    let (wanted, updated) = (deployment.spec.replicas.unwrap_or(1), status.updated_replicas);
    if updated < wanted {
        return going(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if status.replicas > updated {
        return going(format!("{} old replicas are pending termination", status.replicas - updated));
    }
    if status.available_replicas < updated {
        return going(format!("{} of {updated} updated replicas are available", status.available_replicas));
    }
    Ok(Progress::Done(format!("deployment {name:?} successfully rolled out")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(status: Value) -> String {
        let deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "generation": 2 }, "spec": { "replicas": 3 }, "status": status }))
        .unwrap();
        match progress(&deployment) {
            Ok(Progress::Done(text) | Progress::Going(text)) => text,
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn each_stage_of_a_rollout_is_told_in_kubectls_words() {
        let waiting = "Waiting for deployment \"web\" rollout to finish: ";
        let table = [
            (json!({ "observedGeneration": 1 }), "Waiting for deployment spec update to be observed...".to_owned()),
            (
                json!({ "observedGeneration": 2, "updatedReplicas": 1, "replicas": 4 }),
                format!("{waiting}1 out of 3 new replicas have been updated..."),
            ),
            (
                json!({ "observedGeneration": 2, "updatedReplicas": 3, "replicas": 4 }),
                format!("{waiting}1 old replicas are pending termination..."),
            ),
            (
                json!({ "observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2 }),
                format!("{waiting}2 of 3 updated replicas are available..."),
            ),
            (
                json!({ "observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3 }),
                "deployment \"web\" successfully rolled out".to_owned(),
            ),
            (
                json!({ "observedGeneration": 2, "conditions": [
                    { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }] }),
                "error: deployment \"web\" exceeded its progress deadline".to_owned(),
            ),
        ];
        for (status, expected) in table {
            assert_eq!(told(status), expected);
        }
    }
}
