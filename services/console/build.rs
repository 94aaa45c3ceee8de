//! Generates Jaeger's query API from `proto/jaeger`, with the OTLP messages taken from the crate that also receives them.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("../../proto");
    println!("cargo:rerun-if-changed={}", root.join("jaeger").display());
    println!(
        "cargo:rerun-if-changed={}",
        root.join("opentelemetry").display()
    );

    let files = protox::compile(["jaeger/api_v3/query_service.proto"], [&root])?;

    // For gRPC reflection: a client such as grpcurl learns the messages, OTLP's included, from the server.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("query_service.bin"), files.encode_to_vec())?;

    tonic_prost_build::configure()
        .extern_path(
            ".opentelemetry.proto.trace.v1",
            "::opentelemetry_proto::tonic::trace::v1",
        )
        .extern_path(
            ".opentelemetry.proto.common.v1",
            "::opentelemetry_proto::tonic::common::v1",
        )
        .extern_path(
            ".opentelemetry.proto.resource.v1",
            "::opentelemetry_proto::tonic::resource::v1",
        )
        .compile_fds(files)?;
    Ok(())
}
