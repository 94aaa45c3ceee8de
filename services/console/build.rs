//! Generates the services that the console speaks from `proto/`: OTLP's and Jaeger's query API.
//!
//! The OTLP messages themselves come from the crate `opentelemetry-proto`, so spans pass from one service to the other unconverted.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("../../proto");
    for directory in ["jaeger", "opentelemetry"] {
        println!("cargo:rerun-if-changed={}", root.join(directory).display());
    }
    let services = ["jaeger/api_v3/query_service.proto", "opentelemetry/proto/collector/trace/v1/trace_service.proto"];
    let files = protox::compile(services, [&root])?;

    // For gRPC reflection: a client such as grpcurl learns the messages, OTLP's included, from the server.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("services.bin"), files.encode_to_vec())?;

    let mut builder = tonic_prost_build::configure()
        .extern_path(".opentelemetry.proto", "::opentelemetry_proto::tonic")
        .codec_path("crate::codec::StrictCodec")
        .type_attribute(".", "#[allow(missing_docs)]");

    // The messages that the HTTP gateway writes as JSON: camelCase, zeros left out, 64-bit numbers as strings.
    for message in [
        "GetServicesResponse",
        "GetOperationsResponse",
        "Operation",
        "FindTraceSummariesResponse",
        "TraceSummary",
        "ServiceSummary",
    ] {
        let path = format!("jaeger.api_v3.{message}");
        builder = builder
            .message_attribute(&path, "#[derive(serde::Serialize)]")
            .message_attribute(&path, r#"#[serde(rename_all = "camelCase")]"#);
    }
    for field in [
        "TraceSummary.root_service_name",
        "TraceSummary.root_operation_name",
        "TraceSummary.span_count",
        "TraceSummary.error_span_count",
        "TraceSummary.orphan_span_count",
        "TraceSummary.services",
        "ServiceSummary.span_count",
        "ServiceSummary.error_span_count",
    ] {
        builder = builder.field_attribute(
            format!("jaeger.api_v3.{field}"),
            r#"#[serde(skip_serializing_if = "crate::query::json::is_default")]"#,
        );
    }
    for field in ["min_start_time_unix_nano", "max_end_time_unix_nano"] {
        builder = builder.field_attribute(
            format!("jaeger.api_v3.TraceSummary.{field}"),
            r#"#[serde(serialize_with = "crate::query::json::as_text")]"#,
        );
    }
    builder.compile_fds(files)?;
    Ok(())
}
