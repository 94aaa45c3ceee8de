//! The Container Runtime Interface as generated from `proto/cri`: messages, client and server of `runtime.v1`.
//!
//! Only the wire's names live here; what the kubelet makes of them is in [`crate::runtime`].

/// `runtime.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, rust_2018_idioms)]
pub mod v1 {
    tonic::include_proto!("runtime.v1");
}

pub use v1::*;
