//! `tpctl patch`: a change to some fields of an object, in one of three notations.

use crate::objects::Targets;
use crate::print::{Format, OutputFormat, out, result_line};
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::meta::v1::PatchOptions;
use clap::{Args, ValueEnum};
use client::Patch;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Flags of `tpctl patch`.
#[derive(Debug, Args)]
pub(crate) struct PatchArgs {
    /// TYPE NAME, or TYPE/NAME.
    #[arg(value_name = "TYPE|NAME", required = true)]
    resources: Vec<String>,
    /// The change, in JSON or YAML.
    #[arg(short, long, value_name = "PATCH", required_unless_present = "patch_file", conflicts_with = "patch_file")]
    patch: Option<String>,
    /// A file with the change.
    #[arg(long, value_name = "FILE")]
    patch_file: Option<PathBuf>,
    /// What the change is written in.
    #[arg(long, value_name = "TYPE", default_value = "strategic")]
    r#type: Notation,
    /// Print the object instead of a line.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

/// How a change is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Notation {
    /// A list of operations (RFC 6902).
    Json,
    /// The fields with their new values, lists as a whole (RFC 7386).
    Merge,
    /// The same, with lists of objects merged by their keys.
    Strategic,
}

/// `tpctl patch`.
pub(crate) async fn run(session: &Session, args: &PatchArgs) -> Result<()> {
    let (kind, name) = Targets::one(&args.resources)?;
    let text = match (&args.patch, &args.patch_file) {
        (Some(patch), _) => patch.clone(),
        (None, Some(file)) => fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        (None, None) => bail!("must specify -p or --patch-file"),
    };
    let body: Value = serde_yaml_ng::from_str(&text).context("unable to parse the patch")?;
    let patch = match args.r#type {
        Notation::Json => Patch::Json(body),
        Notation::Merge => Patch::Merge(body),
        Notation::Strategic => Patch::Strategic(body),
    };
    let (api, namespace) = (session.api(kind), session.namespace_of(kind));
    let before = api.get(namespace, &name).await?;
    let after = api.patch(namespace, &name, &patch, PatchOptions::default()).await?;
    let unchanged = before.metadata().resource_version == after.metadata().resource_version;
    out(&result_line(&after, if unchanged { "patched (no change)" } else { "patched" }, Format::from(args.output)))
}
