//! Generates the CRI messages, client and server from `proto/cri` (protox compiles, so no protoc is needed).

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/cri");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(["runtime/v1/api.proto"], [&root])?;
    tonic_prost_build::configure()
        // Ordered maps, so that what is generated from a pod is the same bytes every time.
        .btree_map(".")
        // The process engine keeps what it was asked for in JSON files. What a file does not name has its default.
        .message_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default)]")
        .compile_fds(descriptors)?;
    Ok(())
}
