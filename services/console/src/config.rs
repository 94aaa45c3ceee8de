//! The flags of the console. Each can also be given by the environment.

use std::net::{IpAddr, Ipv4Addr};

use clap::Parser;
use service_kit::flags;

use crate::store::Limits;

/// Receives OpenTelemetry traces, keeps the newest in memory, and answers Jaeger's query API.
#[derive(Debug, Clone, Parser)]
#[command(name = "console", version)]
pub struct Config {
    /// Address to serve on; 0.0.0.0 for all addresses of the machine. Every port speaks plain text, as is usual for OTLP and Jaeger.
    #[arg(long, value_name = "ADDRESS", env = "TRACEPLANE_BIND_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind_address: IpAddr,

    /// Port for OTLP over gRPC; 0 for a free one, as for the other ports.
    #[arg(long, value_name = "PORT", env = "TRACEPLANE_OTLP_GRPC_PORT", default_value_t = 4317)]
    pub otlp_grpc_port: u16,

    /// Port for OTLP over HTTP (POST /v1/traces).
    #[arg(long, value_name = "PORT", env = "TRACEPLANE_OTLP_HTTP_PORT", default_value_t = 4318)]
    pub otlp_http_port: u16,

    /// Port for queries over gRPC (jaeger.api_v3.QueryService).
    #[arg(long, value_name = "PORT", env = "TRACEPLANE_QUERY_GRPC_PORT", default_value_t = 16685)]
    pub query_grpc_port: u16,

    /// Port for queries over HTTP (/api/v3), health (/healthz, /livez, /readyz) and /metrics.
    #[arg(long, value_name = "PORT", env = "TRACEPLANE_QUERY_HTTP_PORT", default_value_t = 16686)]
    pub query_http_port: u16,

    /// Most traces to keep. When there are more, the one that has been quiet for longest leaves.
    #[arg(long, value_name = "COUNT", env = "TRACEPLANE_MAX_TRACES", default_value_t = 20_000, value_parser = flags::at_least_one())]
    pub max_traces: usize,

    /// Most spans to keep.
    #[arg(long, value_name = "COUNT", env = "TRACEPLANE_MAX_SPANS", default_value_t = 400_000, value_parser = flags::at_least_one())]
    pub max_spans: usize,

    /// Most memory for traces, such as 512Mi or a number of bytes.
    #[arg(long, value_name = "SIZE", env = "TRACEPLANE_MAX_BYTES", default_value = "256Mi", value_parser = size)]
    pub max_bytes: usize,

    /// Largest export request to take, after decompression.
    #[arg(long, value_name = "SIZE", env = "TRACEPLANE_MAX_REQUEST_BYTES", default_value = "16Mi", value_parser = size)]
    pub max_request_bytes: usize,
}

impl Config {
    /// How much the store may hold.
    pub fn limits(&self) -> Limits {
        Limits { traces: self.max_traces, spans: self.max_spans, bytes: self.max_bytes }
    }
}

/// Bytes, with the binary suffixes of Kubernetes' quantities.
fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .unwrap_or((text, 1));
    let bytes = number.parse().ok().and_then(|number: usize| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "must be a positive number of bytes, such as 256Mi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_have_their_documented_defaults() {
        let config = Config::try_parse_from(["console"]).unwrap();
        assert!(config.bind_address.is_loopback());
        let ports = [config.otlp_grpc_port, config.otlp_http_port, config.query_grpc_port, config.query_http_port];
        assert_eq!(ports, [4317, 4318, 16685, 16686]);
        assert_eq!(config.limits(), Limits { traces: 20_000, spans: 400_000, bytes: 256 << 20 });
    }

    #[test]
    fn sizes_take_the_suffixes_of_quantities() {
        for (text, bytes) in [("1", 1), ("4Ki", 4096), ("2Mi", 2 << 20), ("1Gi", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["", "0", "-1", "1.5Mi", "Mi", "1MB", "99999999999999999999Gi", "17179869184Gi"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        for flag in ["--max-traces", "--max-spans", "--max-bytes", "--max-request-bytes"] {
            assert!(Config::try_parse_from(["console", flag, "0"]).is_err(), "{flag}");
        }
    }
}
