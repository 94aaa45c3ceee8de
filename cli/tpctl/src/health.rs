//! `tpctl health`: asks one server one question, for health checks in images that hold no other client.

use crate::cluster::Prober;
use anyhow::{Result, bail};
use clap::Args;
use http::Uri;
use std::path::PathBuf;

/// Flags of `tpctl health`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HealthArgs {
    /// What to ask, such as https://localhost:6443/readyz.
    url: Uri,
    /// PEM file of the authority that signed the server's certificate, for https.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

/// `tpctl health`. Succeeds if the answer is a success.
pub(crate) async fn run(args: &HealthArgs) -> Result<()> {
    let (Some(scheme), Some(host)) = (args.url.scheme_str(), args.url.host()) else {
        bail!("{} is no address; give one such as https://localhost:6443/readyz", args.url);
    };
    let port = |default| args.url.port_u16().unwrap_or(default);
    match (scheme, &args.cacert) {
        ("http", _) => Prober::plain(host, port(80), args.url.path()).await,
        ("https", Some(ca)) => Prober::new(ca)?.tls(host, port(443), args.url.path()).await,
        ("https", None) => bail!("--cacert is missing: name the authority that signed the server's certificate"),
        _ => bail!("{scheme} is not spoken here; give an http or https address"),
    }
}
