//! When a call counts as failed in a trace.
//!
//! A controller that finds its object gone, or loses a race and retries, works as designed: NotFound, AlreadyExists and
//! Conflict are outcomes, not errors. A server is not at fault for what its clients send.

use opentelemetry::trace::Status;
use tonic::Code;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::attr;

/// Whose span records the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one who asked: anything unexpected is a failure.
    Client,
    /// The one who answered: only its own faults are failures.
    Server,
}

/// Whether `code` marks the span as failed. The server's list is that of the gRPC conventions.
pub fn is_error(side: Side, code: Code) -> bool {
    match code {
        Code::Ok | Code::NotFound | Code::AlreadyExists | Code::Aborted | Code::Cancelled => false,
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        _ => side == Side::Client,
    }
}

/// Records code, reason and, for a failure, the message. An empty `reason` falls back to the code's name.
pub(super) fn record(span: &Span, side: Side, code: Code, reason: &str, message: &str) {
    span.set_attribute(attr::RPC_RESPONSE_STATUS_CODE, code_name(code));
    if code == Code::Ok {
        return;
    }
    let reason = if reason.is_empty() { code_name(code) } else { reason };
    span.set_attribute(attr::ERROR_TYPE, reason.to_owned());
    if is_error(side, code) {
        let description = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
        span.set_status(Status::error(description));
    }
}

/// The code as gRPC spells it: `NOT_FOUND`.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_outcomes_are_no_errors_and_a_server_is_not_to_blame_for_its_clients() {
        let table = [
            (Code::Ok, false, false),
            (Code::NotFound, false, false),
            (Code::AlreadyExists, false, false),
            (Code::Aborted, false, false),
            (Code::Cancelled, false, false),
            (Code::InvalidArgument, true, false),
            (Code::PermissionDenied, true, false),
            (Code::ResourceExhausted, true, false),
            (Code::Internal, true, true),
            (Code::Unavailable, true, true),
            (Code::DeadlineExceeded, true, true),
        ];
        for (code, client, server) in table {
            assert_eq!(is_error(Side::Client, code), client, "client {code:?}");
            assert_eq!(is_error(Side::Server, code), server, "server {code:?}");
        }
    }
}
