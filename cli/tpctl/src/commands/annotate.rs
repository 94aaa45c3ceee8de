//! `tpctl annotate`.

use super::key_values::{self, KeyValueArgs, Words};
use crate::session::Session;
use anyhow::Result;
use clap::Args;

/// Flags of `tpctl annotate`.
#[derive(Debug, Args)]
pub(crate) struct AnnotateArgs {
    #[command(flatten)]
    args: KeyValueArgs,
}

/// `tpctl annotate`.
pub(crate) async fn run(session: &Session, args: &AnnotateArgs) -> Result<()> {
    let words = Words { member: "annotations", one: "annotation", done: "annotated", undone: "annotated" };
    key_values::run(session, &args.args, &words).await
}
