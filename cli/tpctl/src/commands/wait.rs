//! `tpctl wait`: until objects are in a state.

use super::patience::{Status, with_progress, within};
use crate::duration::duration;
use crate::failure::Several;
use crate::objects::{Object, Path, SelectorFlags, Targets, until};
use crate::print::{Format, OutputFormat, out, result_line};
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::KindInfo;
use clap::Args;
use serde_json::Value;
use std::time::Duration;

/// Flags of `tpctl wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// TYPE NAME ..., or TYPE/NAME ...
    #[arg(value_name = "TYPE|NAME", required = true)]
    resources: Vec<String>,
    #[command(flatten)]
    selector: SelectorFlags,
    /// All objects of the types, in the namespace.
    #[arg(long)]
    all: bool,
    /// create, delete, condition=NAME[=VALUE], or jsonpath='{PATH}'[=VALUE].
    #[arg(long = "for", value_name = "WHAT")]
    goal: Goal,
    /// How long to wait; negative is a week.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout, allow_negative_numbers = true)]
    timeout: Duration,
    /// Print the objects instead of a line each.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
enum Goal {
    Create,
    Delete,
    Condition {
        r#type: String,
        status: String,
    },
    /// No value: any will do.
    Path {
        path: Path,
        value: Option<String>,
    },
}

impl std::str::FromStr for Goal {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Goal> {
        if text.eq_ignore_ascii_case("create") {
            return Ok(Goal::Create);
        }
        if text.eq_ignore_ascii_case("delete") {
            return Ok(Goal::Delete);
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (r#type, status) = condition.split_once('=').unwrap_or((condition, "True"));
            return Ok(Goal::Condition { r#type: r#type.to_owned(), status: status.to_owned() });
        }
        let Some(rest) = text.strip_prefix("jsonpath=") else {
            bail!(
                "unrecognized condition: {text:?}; use create, delete, condition=NAME[=VALUE] or jsonpath='{{PATH}}'[=VALUE]"
            );
        };
        let end = rest.rfind('}').with_context(|| format!("jsonpath wait must be a path in braces: {rest:?}"))? + 1;
        let value = match &rest[end..] {
            "" => None,
            value => match value.strip_prefix('=') {
                Some(value) if !value.is_empty() => Some(value.trim_matches(['\'', '"']).to_owned()),
                _ => bail!("jsonpath wait has to have a value after '='"),
            },
        };
        Ok(Goal::Path { path: rest[..end].parse()?, value })
    }
}

impl Goal {
    /// Whether an object is there; `None` is no object.
    fn is_met(&self, object: Option<&Object>) -> bool {
        match (self, object) {
            (Goal::Create, object) => object.is_some(),
            (Goal::Delete, object) => object.is_none(),
            (_, None) => false,
            (Goal::Condition { r#type, status }, Some(object)) => has_condition(&object.json(), r#type, status),
            (Goal::Path { path, value }, Some(object)) => {
                let object = object.json();
                match (path.find(&object).is_empty(), value) {
                    (found_nothing, None) => !found_nothing,
                    (true, Some(_)) => false,
                    (false, Some(value)) => path.text(&object) == *value,
                }
            }
        }
    }
}

/// A condition that was set for an older spec says nothing about this one.
fn has_condition(object: &Value, r#type: &str, status: &str) -> bool {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    let matches = |condition: &Value| {
        let text = |name: &str| condition[name].as_str().unwrap_or_default();
        let observed =
            condition["observedGeneration"].as_i64().or_else(|| object["status"]["observedGeneration"].as_i64());
        text("type").eq_ignore_ascii_case(r#type)
            && text("status").eq_ignore_ascii_case(status)
            && observed.is_none_or(|observed| observed >= generation)
    };
    object["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(matches))
}

/// Time to look at one object that is as it should be.
const ONE_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// `tpctl wait`.
pub(crate) async fn run(session: &Session, args: &WaitArgs) -> Result<()> {
    let targets = targets(session, args).await?;
    let deadline = tokio::time::Instant::now() + args.timeout;
    let mut failures = Vec::new();
    with_progress(async |status| {
        for (kind, namespace, name) in targets {
            // Everyone is looked at, even if those before have used the time up.
            let rest = deadline.saturating_duration_since(tokio::time::Instant::now()).max(ONE_LOOK);
            let wait = one(session, args, kind, &namespace, &name, &status);
            match within(Some(rest), || format!("{}/{name}", kind.plural), wait).await {
                Ok(()) => {}
                Err(error) => failures.push(error),
            }
        }
    })
    .await;
    Several::of(failures)
}

async fn targets(session: &Session, args: &WaitArgs) -> Result<Vec<(&'static KindInfo, String, String)>> {
    match Targets::parse(&args.resources)? {
        Targets::Named(named) => {
            Ok(named.into_iter().map(|(kind, name)| (kind, session.namespace_of(kind).to_owned(), name)).collect())
        }
        Targets::Kinds(_) if !args.all && !args.selector.selects() => {
            bail!("resource(s) were provided, but no name was specified; use --all or -l")
        }
        Targets::Kinds(kinds) => {
            let mut found = Vec::new();
            for kind in kinds {
                let namespace = args.selector.namespace(kind, &session.namespace);
                let (objects, _) = session.api(kind).list(namespace, args.selector.list_options()).await?;
                found.extend(objects.iter().map(|o| (kind, o.metadata().namespace.clone(), o.name().to_owned())));
            }
            if found.is_empty() && args.goal != Goal::Delete {
                bail!("no matching resources found");
            }
            Ok(found)
        }
    }
}

async fn one(
    session: &Session,
    args: &WaitArgs,
    kind: &'static KindInfo,
    namespace: &str,
    name: &str,
    status: &Status,
) -> Result<()> {
    let api = session.api(kind);
    status.send_replace(format!("Waiting for {}/{name}", kind.singular));
    let mut last = match (&args.goal, api.get(namespace, name).await) {
        (Goal::Delete, Err(error)) if error.is_not_found() => return Ok(()),
        (Goal::Create, Err(error)) if error.is_not_found() => None,
        (_, found) => Some(found?),
    };
    let had = last.clone();
    let met = |object: Option<&Object>| {
        if object.is_none() && args.goal != Goal::Create && args.goal != Goal::Delete {
            return Err(api::Error::not_found(kind.group, kind.plural, name).into());
        }
        // An object that was deleted and made anew has been deleted.
        let replaced = matches!((&args.goal, &had, object), (Goal::Delete, Some(old), Some(new)) if old.metadata().uid != new.metadata().uid);
        if object.is_some() && !replaced {
            last = object.cloned();
        }
        Ok(replaced || args.goal.is_met(object))
    };
    until(&*api, namespace, name, met).await?;
    let object = last.expect("it was found or waited for");
    out(&result_line(&object, "condition met", Format::from(args.output)))
}

fn timeout(text: &str) -> Result<Duration> {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    if text.starts_with('-') { Ok(WEEK) } else { duration(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Pod;
    use serde_json::json;

    fn pod(value: Value) -> Object {
        Object::of(serde_json::from_value::<Pod>(value).unwrap())
    }

    fn met(goal: &str, object: Option<&Object>) -> bool {
        goal.parse::<Goal>().unwrap().is_met(object)
    }

    #[test]
    fn goals_are_met_by_the_state_of_the_object() {
        let ready =
            pod(json!({ "metadata": { "name": "p", "generation": 2 }, "status": { "phase": "Running", "conditions": [
            { "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "False" }] } }));
        for (goal, expected) in [
            ("condition=Ready", true),
            ("condition=ready=true", true),
            ("condition=PodScheduled", false),
            ("condition=PodScheduled=False", true),
            ("condition=Missing", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath='{.status.phase}'=Running", true),
            ("jsonpath={.status.phase}=Pending", false),
            ("jsonpath={.status.phase}", true),
            ("jsonpath={.status.podIP}", false),
            ("create", true),
            ("delete", false),
        ] {
            let goal = goal.replace("'{", "{").replace("}'", "}");
            assert_eq!(met(&goal, Some(&ready)), expected, "{goal}");
        }
        assert!(met("delete", None) && !met("create", None) && !met("condition=Ready", None));
        for goal in ["soon", "jsonpath=.a", "jsonpath={.a}=", "jsonpath={.a}b"] {
            assert!(goal.parse::<Goal>().is_err(), "{goal}");
        }
    }

    #[test]
    fn a_condition_of_an_older_spec_does_not_count() {
        let condition = |observed: i64| {
            pod(json!({ "metadata": { "generation": 2 }, "status": { "conditions": [
                { "type": "Ready", "status": "True", "observedGeneration": observed }] } }))
        };
        assert!(!met("condition=Ready", Some(&condition(1))));
        assert!(met("condition=Ready", Some(&condition(2))));
    }
}
