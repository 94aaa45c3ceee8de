//! Starts the kubelet.

use std::process::ExitCode;

use clap::Parser;
use telemetry::TelemetryConfig;
use traceplane_kubelet_sim::runtime::process_engine;
use traceplane_kubelet_sim::{Config, app};

fn main() -> ExitCode {
    // A pod's sandbox process is this program, too. It forks, so it is told apart before there is a second thread.
    if let Some(ended) = process_engine::dispatch() {
        return ended;
    }
    let config = Config::parse();
    let telemetry = TelemetryConfig { instance: Some(config.instance()), ..TelemetryConfig::new("kubelet") };
    // Flags that contradict each other are told by the service.
    let shutdown_grace_period = config.node.shutdown().map(|periods| periods.total()).unwrap_or_default();
    service_kit::run_within(shutdown_grace_period, "kubelet", telemetry, |shutdown| app::run(config, shutdown))
}
