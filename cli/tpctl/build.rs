//! Generates a client of etcd's API from `proto/etcd`, for `tpctl bench` (protox compiles, so no protoc is needed).

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/etcd");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(["rpc.proto"], [&root])?;
    tonic_prost_build::configure().build_server(false).build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
