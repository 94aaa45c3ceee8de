//! The body of an OTLP request over HTTP: its encoding, its format, its size.

use std::io::Read;

use axum::body::{Body, to_bytes};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tonic_types::pb::Status;

/// The two formats of OTLP over HTTP. An answer has the format of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

/// Why a request was not taken, and the HTTP status that says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl Format {
    pub(super) fn of(headers: &HeaderMap) -> Result<Format, Refusal> {
        let named = header_text(headers, header::CONTENT_TYPE);
        // Parameters such as a charset may follow.
        match named.split(';').next().map(str::trim) {
            Some("application/x-protobuf") => Ok(Format::Protobuf),
            Some("application/json") => Ok(Format::Json),
            _ => Err(Refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("Content-Type must be application/x-protobuf or application/json, not {named:?}"),
            )),
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        }
    }

    pub(super) fn decode(self, body: &[u8]) -> Result<ExportTraceServiceRequest, Refusal> {
        let request = match self {
            Format::Protobuf => ExportTraceServiceRequest::decode(body).map_err(|error| error.to_string()),
            Format::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
        };
        request
            .map_err(|error| Refusal(StatusCode::BAD_REQUEST, format!("the body is not an OTLP trace export: {error}")))
    }

    pub(super) fn encode(self, response: &ExportTraceServiceResponse) -> Vec<u8> {
        match self {
            Format::Protobuf => response.encode_to_vec(),
            Format::Json => {
                // Written out because a JSON number cannot hold every int64, so OTLP wants text.
                let json = match &response.partial_success {
                    None => serde_json::json!({}),
                    Some(partial) => serde_json::json!({"partialSuccess": {
                        "rejectedSpans": partial.rejected_spans.to_string(),
                        "errorMessage": partial.error_message,
                    }}),
                };
                json.to_string().into_bytes()
            }
        }
    }

    /// An error as OTLP wants it: a `google.rpc.Status`.
    pub(super) fn encode_error(self, code: tonic::Code, message: String) -> Vec<u8> {
        match self {
            Format::Protobuf => Status { code: code as i32, message, details: Vec::new() }.encode_to_vec(),
            Format::Json => serde_json::json!({"code": code as i32, "message": message}).to_string().into_bytes(),
        }
    }
}

/// Reads and, where needed, decompresses a body of at most `limit` bytes. The limit holds for both sizes, so a small body that
/// inflates to a huge one is refused before it takes memory.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    let too_large = || {
        Refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {limit} bytes; see --max-request-bytes"))
    };
    let body = to_bytes(body, limit).await.map_err(|error| {
        // The only other error of `to_bytes` is the connection's.
        let source = std::error::Error::source(&error);
        match source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
            true => too_large(),
            false => Refusal(StatusCode::BAD_REQUEST, format!("the body could not be read: {error}")),
        }
    })?;
    match header_text(headers, header::CONTENT_ENCODING) {
        "" | "identity" => Ok(body.into()),
        "gzip" => {
            let mut plain = Vec::new();
            // One byte more than allowed shows that there is too much.
            let mut inflated = MultiGzDecoder::new(&body[..]).take(limit as u64 + 1);
            inflated
                .read_to_end(&mut plain)
                .map_err(|error| Refusal(StatusCode::BAD_REQUEST, format!("the body is not valid gzip: {error}")))?;
            if plain.len() > limit {
                return Err(too_large());
            }
            Ok(plain)
        }
        other => Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Encoding must be gzip or identity, not {other:?}"),
        )),
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}
