//! `tpctl scale`: another number of replicas.

use crate::failure::Several;
use crate::objects::{SelectorFlags, Targets};
use crate::print::{Format, OutputFormat, out, result_line};
use crate::session::Session;
use anyhow::{Result, bail};
use api::KindInfo;
use api::meta::v1::PatchOptions;
use clap::Args;
use client::Patch;
use serde_json::json;

/// Flags of `tpctl scale`.
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// TYPE NAME ..., or TYPE/NAME ...: deployments and replicasets.
    #[arg(value_name = "TYPE|NAME", required = true)]
    resources: Vec<String>,
    #[command(flatten)]
    selector: SelectorFlags,
    /// How many pods there shall be.
    #[arg(long, value_name = "COUNT", required = true, allow_negative_numbers = true)]
    replicas: i32,
    /// Only if there shall be this many now.
    #[arg(long, value_name = "COUNT")]
    current_replicas: Option<i32>,
    /// Print the objects instead of a line each.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

/// `tpctl scale`.
pub(crate) async fn run(session: &Session, args: &ScaleArgs) -> Result<()> {
    if args.replicas < 0 {
        bail!("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    }
    let mut failures = Vec::new();
    for (kind, namespace, name) in targets(session, args).await? {
        if let Err(error) = scale(session, args, kind, &namespace, &name).await {
            failures.push(error);
        }
    }
    Several::of(failures)
}

async fn targets(session: &Session, args: &ScaleArgs) -> Result<Vec<(&'static KindInfo, String, String)>> {
    let found = match Targets::parse(&args.resources)? {
        Targets::Named(named) => {
            named.into_iter().map(|(kind, name)| (kind, session.namespace_of(kind).to_owned(), name)).collect()
        }
        Targets::Kinds(_) if !args.selector.selects() => bail!("name what to scale, or select it with -l"),
        Targets::Kinds(kinds) => {
            let mut found = Vec::new();
            for kind in kinds {
                let namespace = args.selector.namespace(kind, &session.namespace);
                let (objects, _) = session.api(kind).list(namespace, args.selector.list_options()).await?;
                found.extend(objects.iter().map(|o| (kind, o.metadata().namespace.clone(), o.name().to_owned())));
            }
            found
        }
    };
    if let Some((kind, ..)) = found.iter().find(|(kind, ..)| !matches!(kind.plural, "deployments" | "replicasets")) {
        bail!("{} cannot be scaled; deployments and replicasets can", kind.plural);
    }
    Ok(found)
}

async fn scale(
    session: &Session,
    args: &ScaleArgs,
    kind: &'static KindInfo,
    namespace: &str,
    name: &str,
) -> Result<()> {
    let api = session.api(kind);
    let mut patch = json!({ "spec": { "replicas": args.replicas } });
    if let Some(expected) = args.current_replicas {
        let current = api.get(namespace, name).await?;
        let found = current.json()["spec"]["replicas"].as_i64().unwrap_or_default();
        if found != i64::from(expected) {
            bail!("Expected replicas to be {expected}, was {found}");
        }
        // Nobody may change it between the look and the leap.
        patch["metadata"] = json!({ "resourceVersion": current.metadata().resource_version });
    }
    let scaled = api.patch(namespace, name, &Patch::Merge(patch), PatchOptions::default()).await?;
    out(&result_line(&scaled, "scaled", Format::from(args.output)))
}
