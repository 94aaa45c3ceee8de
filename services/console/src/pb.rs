//! What `build.rs` generates from `proto/`. The modules lie as the packages do, because generated code refers along them.

#![allow(unreachable_pub, clippy::all)]

/// All of it as a `FileDescriptorSet`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/services.bin"));

/// Packages `jaeger.*`.
pub mod jaeger {
    /// Jaeger's query API.
    pub mod api_v3 {
        tonic::include_proto!("jaeger.api_v3");
    }
    /// The filter expressions of the query API.
    pub mod expression {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("jaeger.expression.v1");
        }
    }
}

/// Package `opentelemetry.proto.collector.trace.v1`: the service only; its messages are those of `opentelemetry-proto`.
pub mod otlp {
    tonic::include_proto!("opentelemetry.proto.collector.trace.v1");
}
