//! `tpctl create`: new objects, from files or from a few flags.

mod config;
mod deployment;

use crate::commands::dry_run::{DryRun, DryRunFlag};
use crate::failure::Several;
use crate::manifest::{self, FileFlags, Manifest};
use crate::objects::Object;
use crate::print::{Format, OutputFormat, out, result_line};
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::Resource;
use api::core::v1::Namespace;
use api::meta::v1::CreateOptions;
use clap::{Args, Subcommand};

/// Who the server is told to have made a change.
const FIELD_MANAGER: &str = "tpctl-create";

/// Flags of `tpctl create`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = false)]
pub(crate) struct CreateArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    files: FileFlags,
    /// Print the objects instead of a line each.
    #[arg(short, long, value_name = "FORMAT", global = true)]
    output: Option<OutputFormat>,
    #[command(flatten)]
    dry_run: DryRunFlag,
}

/// Objects that can be made from flags.
#[derive(Debug, Subcommand)]
enum What {
    /// A Deployment.
    #[command(alias = "deploy")]
    Deployment(deployment::DeploymentArgs),
    /// A Namespace.
    #[command(alias = "ns")]
    Namespace {
        /// Its name.
        name: String,
    },
    /// A ConfigMap.
    #[command(alias = "cm")]
    Configmap(config::ConfigMapArgs),
    /// A Secret.
    #[command(subcommand)]
    Secret(SecretKind),
}

/// Kinds of Secret.
#[derive(Debug, Subcommand)]
enum SecretKind {
    /// Any keys with any values.
    Generic(config::SecretArgs),
}

impl CreateArgs {
    /// Whether the command only shows what it would do.
    pub(crate) fn sends_nothing(&self) -> bool {
        self.dry_run.dry_run == DryRun::Client
    }
}

/// `tpctl create`.
pub(crate) async fn run(session: &Session, args: CreateArgs) -> Result<()> {
    let Some(what) = &args.what else {
        if args.files.files.is_empty() {
            bail!("must specify one of -f or a kind: deployment, namespace, configmap, secret");
        }
        return from_files(session, &args).await;
    };
    if !args.files.files.is_empty() {
        bail!("name files or a kind, not both");
    }
    let object = match what {
        What::Deployment(flags) => named(session, flags.deployment()?),
        What::Namespace { name } => {
            let mut namespace = Namespace::default();
            namespace.metadata.name.clone_from(name);
            named(session, namespace)
        }
        What::Configmap(flags) => named(session, flags.config_map()?),
        What::Secret(SecretKind::Generic(flags)) => named(session, flags.secret()?),
    };
    let created = create(session, &args, &object).await.with_context(|| {
        let singular = object.info().singular;
        format!("failed to create {singular}")
    })?;
    print(&args, &created)
}

fn named<K: Resource>(session: &Session, mut object: K) -> Object {
    if K::INFO.namespaced {
        object.metadata_mut().namespace.clone_from(&session.namespace);
    }
    Object::of(object)
}

/// Sends document after document; one that is refused does not keep the others from being tried, as with kubectl.
async fn from_files(session: &Session, args: &CreateArgs) -> Result<()> {
    let manifests = manifest::read(&args.files, session, "create")?;
    let mut failures = Vec::new();
    for Manifest { object, origin, .. } in &manifests {
        match create(session, args, object).await.with_context(|| format!("error when creating \"{origin}\"")) {
            Ok(created) => print(args, &created)?,
            Err(error) => failures.push(error),
        }
    }
    Several::of(failures)
}

async fn create(session: &Session, args: &CreateArgs, object: &Object) -> Result<Object> {
    let dry_run = args.dry_run.dry_run;
    if dry_run == DryRun::Client {
        return Ok(object.clone());
    }
    let options = CreateOptions {
        dry_run: dry_run.option(),
        field_manager: FIELD_MANAGER.to_owned(),
        ..CreateOptions::default()
    };
    let namespace = &object.metadata().namespace;
    Ok(session.api(object.info()).create(namespace, object, options).await?)
}

fn print(args: &CreateArgs, object: &Object) -> Result<()> {
    out(&result_line(object, &args.dry_run.dry_run.done("created"), Format::from(args.output)))
}
