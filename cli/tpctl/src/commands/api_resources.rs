//! `tpctl api-resources`: the kinds, and every name by which they go.

use crate::print::{Table, out};
use anyhow::Result;
use api::KINDS;
use clap::Args;

/// Flags of `tpctl api-resources`.
#[derive(Debug, Args)]
pub(crate) struct ApiResourcesArgs {
    /// Leave the header out.
    #[arg(long)]
    no_headers: bool,
    /// Only kinds that live in namespaces, or (false) only those that do not.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    namespaced: Option<bool>,
}

/// `tpctl api-resources`.
pub(crate) fn run(args: &ApiResourcesArgs) -> Result<()> {
    let mut kinds: Vec<_> =
        KINDS.iter().filter(|k| args.namespaced.is_none_or(|wanted| wanted == k.namespaced)).collect();
    kinds.sort_by_key(|kind| (kind.group, kind.plural));
    let mut table = Table::new();
    if !args.no_headers {
        table.push(["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]);
    }
    for kind in kinds {
        table.push([
            kind.plural,
            &kind.short_names.join(","),
            &kind.api_version(),
            if kind.namespaced { "true" } else { "false" },
            kind.kind,
        ]);
    }
    out(&table.flush())
}
