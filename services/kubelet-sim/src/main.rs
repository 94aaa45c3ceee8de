//! Starts the kubelet.

use std::process::ExitCode;

use clap::Parser;
use telemetry::TelemetryConfig;
use traceplane_kubelet_sim::{Config, app};

fn main() -> ExitCode {
    let config = Config::parse();
    let telemetry = TelemetryConfig { instance: Some(config.instance()), ..TelemetryConfig::new("kubelet") };
    service_kit::run("kubelet", telemetry, |shutdown| app::run(config, shutdown))
}
