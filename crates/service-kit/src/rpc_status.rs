//! `api::Error` on the wire of gRPC: one mapping each way.
//!
//! The canonical code is for clients that know nothing of Kubernetes; everything a Kubernetes `Status` says travels in
//! google.rpc details, so that an error comes out of [`from_status`] as it went into [`to_status`]:
//!
//! | `api::Error` | google.rpc |
//! |---|---|
//! | reason | `ErrorInfo.reason`, domain [`DOMAIN`] |
//! | group, uid | `ErrorInfo.metadata` |
//! | kind, name | `ResourceInfo.resource_type`, `resource_name` |
//! | causes | `BadRequest.field_violations` (field, description, reason) |
//! | retry_after_seconds | `RetryInfo.retry_delay` |
//!
//! Details are bounded, because they travel in HTTP/2 trailers, which peers refuse beyond 8 KiB: a message or a list of causes
//! over the bound is cut, visibly. Statuses made by others (proxies, the transport) are read by `foreign`.

mod foreign;

use std::collections::HashMap;
use std::time::Duration;

use api::{Details, Reason, StatusCause};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of `ErrorInfo`: who gives the reasons their meaning.
pub const DOMAIN: &str = "traceplane.v1";

/// The longest message, in bytes. It travels twice: percent-encoded in `grpc-message`, as base64 in the details.
const MAX_MESSAGE: usize = 1_536;
/// The bytes that all causes may take together.
const MAX_CAUSES: usize = 2_048;
/// The longest name, uid ... in bytes; a valid one has at most 253.
const MAX_NAME: usize = 256;

const GROUP: &str = "group";
const UID: &str = "uid";

/// The canonical code for a reason.
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::BadRequest
        | Reason::Invalid
        | Reason::RequestEntityTooLarge
        | Reason::NotAcceptable
        | Reason::UnsupportedMediaType => Code::InvalidArgument,
        Reason::Unauthorized => Code::Unauthenticated,
        Reason::Forbidden => Code::PermissionDenied,
        Reason::NotFound => Code::NotFound,
        Reason::AlreadyExists => Code::AlreadyExists,
        Reason::Conflict => Code::Aborted,
        Reason::Gone | Reason::Expired => Code::OutOfRange,
        Reason::MethodNotAllowed => Code::Unimplemented,
        Reason::TooManyRequests => Code::ResourceExhausted,
        Reason::ServiceUnavailable | Reason::ServerTimeout => Code::Unavailable,
        Reason::Timeout => Code::DeadlineExceeded,
        Reason::InternalError => Code::Internal,
        Reason::Unknown => Code::Unknown,
    }
}

/// The status to answer with.
pub fn to_status(error: &api::Error) -> Status {
    let Details { name, group, kind, uid, causes, retry_after_seconds } = &*error.details;
    let metadata: HashMap<_, _> = [(GROUP, group), (UID, uid)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), cut(value, MAX_NAME)))
        .collect();
    let mut details = ErrorDetails::with_error_info(error.reason.as_str(), DOMAIN, metadata);
    if !kind.is_empty() || !name.is_empty() {
        details.set_resource_info(cut(kind, MAX_NAME), cut(name, MAX_NAME), "", "");
    }
    if !causes.is_empty() {
        details.set_bad_request(violations(causes));
    }
    if let Some(seconds) = retry_after_seconds {
        details.set_retry_info(Some(Duration::from_secs((*seconds).into())));
    }
    Status::with_error_details(code(error.reason), cut(&error.message, MAX_MESSAGE), details)
}

/// The error that a status tells of. `server` names the one that was asked ("apiserver at https://127.0.0.1:6443"), for the
/// message when it could not be reached.
pub fn from_status(status: &Status, server: &str) -> api::Error {
    let details = status.get_error_details();
    let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
        return foreign::from_status(status, server);
    };
    let metadata = |key: &str| info.metadata.get(key).cloned().unwrap_or_default();
    let (kind, name) = match details.resource_info() {
        Some(resource) => (resource.resource_type.clone(), resource.resource_name.clone()),
        None => Default::default(),
    };
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    let causes = violations.iter().map(|violation| StatusCause {
        reason: violation.reason.clone(),
        message: violation.description.clone(),
        field: violation.field.clone(),
    });
    let mut error = api::Error::new(reason(&info.reason), status.message());
    *error.details = Details {
        name,
        group: metadata(GROUP),
        kind,
        uid: metadata(UID),
        causes: causes.collect(),
        retry_after_seconds: retry_after(&details),
    };
    error
}

fn reason(word: &str) -> Reason {
    match word.parse() {
        Ok(reason) => reason,
        Err(never) => match never {},
    }
}

/// Whole seconds, rounded up: trying too soon is the mistake to avoid.
fn retry_after(details: &ErrorDetails) -> Option<u32> {
    let delay = details.retry_info()?.retry_delay?;
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    Some(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// The causes as violations, as many as the bound allows; the last one then counts the rest.
fn violations(causes: &[StatusCause]) -> Vec<FieldViolation> {
    let mut violations = Vec::with_capacity(causes.len());
    let mut room = MAX_CAUSES;
    for (number, cause) in causes.iter().enumerate() {
        let size = cause.field.len() + cause.message.len() + cause.reason.len();
        if size > room {
            let rest = causes.len() - number;
            violations.push(FieldViolation::new("", format!("... and {rest} more")));
            break;
        }
        room -= size;
        let mut violation = FieldViolation::new(&cause.field, &cause.message);
        violation.reason.clone_from(&cause.reason);
        violations.push(violation);
    }
    violations
}

fn cut(text: &str, max: usize) -> String {
    const MARK: &str = " ...";
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max - MARK.len());
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(number: u32) -> StatusCause {
        StatusCause {
            reason: "FieldValueRequired".to_owned(),
            message: format!("Required value: número {number}"),
            field: format!("spec.containers[{number}].image"),
        }
    }

    /// An error with everything in it.
    fn full(reason: Reason) -> api::Error {
        let mut error = api::Error::new(reason, "pods \"wéb\" is bad:\n\ttwo lines % and \u{1F980}");
        *error.details = Details {
            name: "web".to_owned(),
            group: "apps".to_owned(),
            kind: "pods".to_owned(),
            uid: "6f1c".to_owned(),
            causes: vec![cause(0), cause(1), StatusCause { message: "no field".to_owned(), ..Default::default() }],
            retry_after_seconds: Some(7),
        };
        error
    }

    /// Through the headers, as the wire does it.
    fn over_the_wire(status: &Status) -> Status {
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn every_reason_survives_the_round_trip() {
        for reason in Reason::ALL {
            for error in [full(reason), api::Error::new(reason, ""), api::Error::new(reason, "m").retry_after(0)] {
                let status = over_the_wire(&to_status(&error));
                assert_eq!(status.code(), code(reason));
                assert_eq!(from_status(&status, "apiserver"), error);
            }
        }
    }

    #[test]
    fn codes_are_the_canonical_ones() {
        for (reason, expected) in [
            (Reason::NotFound, Code::NotFound),
            (Reason::AlreadyExists, Code::AlreadyExists),
            (Reason::Conflict, Code::Aborted),
            (Reason::Invalid, Code::InvalidArgument),
            (Reason::BadRequest, Code::InvalidArgument),
            (Reason::RequestEntityTooLarge, Code::InvalidArgument),
            (Reason::Expired, Code::OutOfRange),
            (Reason::Gone, Code::OutOfRange),
            (Reason::Unauthorized, Code::Unauthenticated),
            (Reason::Forbidden, Code::PermissionDenied),
            (Reason::TooManyRequests, Code::ResourceExhausted),
            (Reason::ServiceUnavailable, Code::Unavailable),
            (Reason::ServerTimeout, Code::Unavailable),
            (Reason::Timeout, Code::DeadlineExceeded),
            (Reason::MethodNotAllowed, Code::Unimplemented),
            (Reason::InternalError, Code::Internal),
            (Reason::Unknown, Code::Unknown),
        ] {
            assert_eq!(code(reason), expected, "{reason:?}");
        }
    }

    #[test]
    fn an_oversized_error_is_cut_to_what_trailers_carry() {
        let mut error = full(Reason::Invalid);
        error.message = "é".repeat(100_000);
        error.details.name = "n".repeat(100_000);
        error.details.causes = (0..1_000).map(cause).collect();
        let mut headers = http::HeaderMap::new();
        to_status(&error).add_header(&mut headers).unwrap();
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size < 12 * 1024, "{size}");

        let read = from_status(&Status::from_header_map(&headers).unwrap(), "apiserver");
        assert!(read.message.ends_with(" ..."), "{}", read.message);
        let last = read.details.causes.last().unwrap();
        assert_eq!(last.message, format!("... and {} more", 1_000 - (read.details.causes.len() - 1)));
    }
}
