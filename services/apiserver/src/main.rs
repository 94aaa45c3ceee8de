//! Starts the apiserver.

use std::process::ExitCode;

use clap::Parser;
use telemetry::TelemetryConfig;
use traceplane_apiserver::{Config, Error, serve};

fn main() -> ExitCode {
    let config = Config::parse();
    service_kit::run("apiserver", TelemetryConfig::new("apiserver"), async |shutdown| {
        serve(config.settings()?, shutdown).await?.stopped().await?;
        Ok::<(), Error>(())
    })
}
