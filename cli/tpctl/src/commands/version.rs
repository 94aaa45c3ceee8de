//! `tpctl version`.

use crate::print::out;
use anyhow::Result;

/// The Kubernetes release whose API and behaviour this version follows.
const KUBERNETES: &str = "1.35";

/// `tpctl version`.
pub(crate) fn run() -> Result<()> {
    out(&format!("Client Version: v{}\nKubernetes API: v{KUBERNETES}\n", env!("CARGO_PKG_VERSION")))
}
