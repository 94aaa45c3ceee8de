//! `tpctl label`.

use super::key_values::{self, KeyValueArgs, Words};
use crate::session::Session;
use anyhow::Result;
use clap::Args;

/// Flags of `tpctl label`.
#[derive(Debug, Args)]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    args: KeyValueArgs,
}

/// `tpctl label`.
pub(crate) async fn run(session: &Session, args: &LabelArgs) -> Result<()> {
    let words = Words { member: "labels", one: "label", done: "labeled", undone: "unlabeled" };
    key_values::run(session, &args.args, &words).await
}
