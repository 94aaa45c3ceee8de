//! Starts the scheduler.

use std::process::ExitCode;

use clap::Parser;
use telemetry::TelemetryConfig;
use traceplane_scheduler::{Config, app};

fn main() -> ExitCode {
    let config = Config::parse();
    service_kit::run("scheduler", TelemetryConfig::new("scheduler"), |shutdown| app::run(config, shutdown))
}
