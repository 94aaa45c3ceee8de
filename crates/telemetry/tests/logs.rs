//! What a process writes to stderr: this test runs itself as that process.
#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

use std::process::Command;

use telemetry::{LogFormat, TelemetryConfig, TraceContext, self_started_span};
use traceplane_telemetry as telemetry;

const FORMAT: &str = "TELEMETRY_TEST_FORMAT";

/// Runs only as the child: writes one line outside of a trace and, if something exports, one inside.
fn child(format: LogFormat) {
    let _guard = telemetry::init(TelemetryConfig { log_format: format, ..TelemetryConfig::new("test") }).unwrap();
    tracing::info!(pod = "web-1", "outside");
    tracing::debug!("not asked for");
    let span = self_started_span("work", &TraceContext::NONE);
    span.in_scope(|| tracing::warn!(pod = "web-1", "inside {}", TraceContext::current().trace_id()));
}

fn lines_of_child(format: &str, endpoint: &str) -> Vec<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_line_leads_to_its_trace", "--nocapture"])
        .env(FORMAT, format)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap().lines().filter(|line| line.contains("side")).map(str::to_owned).collect()
}

/// A port where nobody listens: the last spans cannot be sent, and the process ends all the same.
const NOBODY: &str = "http://127.0.0.1:9";

#[test]
fn a_line_leads_to_its_trace() {
    if let Ok(format) = std::env::var(FORMAT) {
        return child(format.parse().unwrap());
    }
    let text = lines_of_child("text", NOBODY);
    assert!(text[0].ends_with("INFO logs: outside pod=\"web-1\""), "{text:?}");
    let (before, id) = text[1].split_once(" trace_id=").expect("a trace id");
    assert!(before.contains(&format!(" WARN logs: inside {id}")), "{text:?}");

    let json: Vec<serde_json::Value> =
        lines_of_child("json", NOBODY).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&json[0]["message"], &json[0]["trace_id"]), (&"outside".into(), &serde_json::Value::Null));
    assert_eq!(json[1]["message"], format!("inside {}", json[1]["trace_id"].as_str().unwrap()));
    assert_eq!((&json[1]["level"], &json[1]["pod"]), (&"WARN".into(), &"web-1".into()));
}

#[test]
fn without_a_collector_there_are_no_spans_and_lines_as_ever() {
    let text = lines_of_child("text", "");
    assert_eq!(text.len(), 2);
    assert!(text[1].ends_with("inside  pod=\"web-1\""), "{text:?}");
}
