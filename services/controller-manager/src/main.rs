//! Starts the controller-manager.

use clap::Parser;
use std::process::ExitCode;
use telemetry::TelemetryConfig;
use traceplane_controller_manager::{Config, serve};

fn main() -> ExitCode {
    let config = Config::parse();
    let telemetry = TelemetryConfig::new("controller-manager");
    service_kit::run("controller-manager", telemetry, |shutdown| serve(config, shutdown))
}
