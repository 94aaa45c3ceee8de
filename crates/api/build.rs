//! Generates the API types from `proto/`, in three steps that the modules of `build/` explain.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/names.rs"]
mod names;
#[path = "build/schema.rs"]
mod schema;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build");

    let mut compiler = protox::Compiler::new([&root]).expect("proto/ exists");
    compiler.include_imports(true);
    compiler.open_files(protos(&root)).unwrap_or_else(|e| panic!("{e:?}"));
    let pool = compiler.descriptor_pool();
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set()).expect("OUT_DIR is writable");

    let schema = schema::Schema::read(&pool);
    let types = names::rust_types(compiler.file_descriptor_set(), &schema);
    prost_build::Config::new()
        .btree_map(["."])
        // What streams carry is cut out of larger buffers and never copied.
        .bytes([
            ".traceplane.v1.LogChunk",
            ".traceplane.v1.SessionInput",
            ".traceplane.v1.SessionOutput",
            ".traceplane.v1.PortForwardInput",
            ".traceplane.v1.PortForwardOutput",
        ])
        .include_file("types.rs")
        .compile_fds(types)
        .expect("the descriptors are valid");
    fs::write(out.join("schema.rs"), emit::source(&schema)).expect("OUT_DIR is writable");
}

/// The files of `proto/k8s` and `proto/traceplane`; the other folders belong to single services.
fn protos(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("k8s"), root.join("traceplane")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "proto") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
