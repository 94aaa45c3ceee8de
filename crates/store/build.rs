//! Generates the client of etcd's API from `proto/etcd` (protox compiles, so no protoc is needed).

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/etcd");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(["rpc.proto"], [&root])?;
    tonic_prost_build::configure()
        .build_server(false)
        // Channels are made lazily and with options, by hand.
        .build_transport(false)
        // Values are slices of the message they arrived in, not copies.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
