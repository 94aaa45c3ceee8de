//! Starts the console.

use std::process::ExitCode;

use clap::Parser;
use telemetry::TelemetryConfig;
use traceplane_console::{Config, app};

fn main() -> ExitCode {
    let config = Config::parse();
    // Log lines only: nothing here ever makes a span, whatever the OTEL_* variables say.
    let telemetry = TelemetryConfig::new("console");
    service_kit::run("console", telemetry, |shutdown| app::run(config, shutdown))
}
