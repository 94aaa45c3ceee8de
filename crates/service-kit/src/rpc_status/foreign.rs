//! Statuses that no traceplane server made: from a proxy, a gRPC library, or the transport when no server was reached.
//!
//! Only the transport's have a source; they become messages that name the server and say what to check.

use std::error::Error as StdError;
use std::io;

use api::Reason;
use rustls::AlertDescription as Alert;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt;

use crate::chain::Chain;

pub(super) fn from_status(status: &Status, server: &str) -> api::Error {
    if let Some(source) = status.source() {
        return from_transport(source, server);
    }
    let message = match status.message() {
        "" => format!("{server} answered {}", status.code().description()),
        text => text.to_owned(),
    };
    let mut error = api::Error::new(reason(status.code()), message);
    error.details.retry_after_seconds = super::retry_after(&status.get_error_details());
    error
}

fn reason(code: Code) -> Reason {
    match code {
        Code::NotFound => Reason::NotFound,
        Code::AlreadyExists => Reason::AlreadyExists,
        Code::Aborted | Code::FailedPrecondition => Reason::Conflict,
        Code::InvalidArgument => Reason::BadRequest,
        Code::OutOfRange => Reason::Expired,
        Code::Unauthenticated => Reason::Unauthorized,
        Code::PermissionDenied => Reason::Forbidden,
        Code::ResourceExhausted => Reason::TooManyRequests,
        Code::Unavailable => Reason::ServiceUnavailable,
        Code::DeadlineExceeded | Code::Cancelled => Reason::Timeout,
        Code::Unimplemented => Reason::MethodNotAllowed,
        Code::Internal | Code::DataLoss => Reason::InternalError,
        Code::Ok | Code::Unknown => Reason::Unknown,
    }
}

/// What stands between this process and the server, by the deepest error that says something.
fn from_transport(source: &(dyn StdError + 'static), server: &str) -> api::Error {
    if sources(source).any(|error| error.is::<TimeoutExpired>()) {
        return api::Error::timeout(format!("no answer from {server} in time"));
    }
    for error in sources(source) {
        if let Some(rustls::Error::InvalidCertificate(fault)) = error.downcast_ref() {
            return api::Error::unavailable(format!(
                "cannot trust {server} ({fault}): check that the certificate authority in the kubeconfig is the one \
                 that signed the server's certificate, and that the certificate names this address"
            ));
        }
        if let Some(alert) = alert_about_us(error) {
            return api::Error::unauthorized(format!(
                "{server} does not accept this client's certificate ({alert:?}): check the client certificate in the \
                 kubeconfig, or make a new one with `tpctl pki`"
            ));
        }
    }
    let kind = sources(source).filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind).last();
    let check = match kind {
        Some(io::ErrorKind::ConnectionRefused) => "check that it runs, and the server's address in the kubeconfig",
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
            "it closed the connection; check that it still runs, and its log"
        }
        _ => "check the server's address in the kubeconfig, the network, and that it runs",
    };
    let deepest = sources(source).last().unwrap_or(source);
    api::Error::unavailable(format!("cannot reach {server} ({}): {check}", Chain(deepest)))
}

/// The alerts by which a server refuses a client's certificate.
const ABOUT_US: [Alert; 9] = [
    Alert::CertificateRequired,
    Alert::BadCertificate,
    Alert::UnsupportedCertificate,
    Alert::CertificateRevoked,
    Alert::CertificateExpired,
    Alert::CertificateUnknown,
    Alert::UnknownCA,
    Alert::AccessDenied,
    Alert::DecryptError,
];

/// The alert that an error stands for, if it is about our certificate. With TLS 1.3 it arrives after the handshake, through h2,
/// which keeps only the text of what it read; so the text counts as well as the type.
fn alert_about_us(error: &(dyn StdError + 'static)) -> Option<Alert> {
    ABOUT_US.into_iter().find(|alert| {
        let received = rustls::Error::AlertReceived(*alert);
        match error.downcast_ref::<rustls::Error>() {
            Some(error) => *error == received,
            None => error.to_string() == received.to_string(),
        }
    })
}

/// An error and what is behind it. An `io::Error` skips the error it wraps when asked for its source, so it is opened here.
fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
        None => error.source(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::from_status;
    use super::*;

    #[test]
    fn a_status_without_our_details_is_read_by_its_code() {
        for (code, expected) in [
            (Code::NotFound, Reason::NotFound),
            (Code::FailedPrecondition, Reason::Conflict),
            (Code::Unavailable, Reason::ServiceUnavailable),
            (Code::Cancelled, Reason::Timeout),
            (Code::Unimplemented, Reason::MethodNotAllowed),
            (Code::Unknown, Reason::Unknown),
        ] {
            let error = from_status(&Status::new(code, "from elsewhere"), "apiserver");
            assert_eq!((error.reason, error.message.as_str()), (expected, "from elsewhere"));
        }
        let silent = from_status(&Status::new(Code::Unavailable, ""), "apiserver");
        assert!(silent.message.starts_with("apiserver answered"), "{silent}");
    }

    #[test]
    fn transport_errors_name_the_server_and_what_to_check() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let alert = rustls::Error::AlertReceived(Alert::CertificateRequired);
        for (source, reason, part) in [
            (refused, Reason::ServiceUnavailable, "check that it runs"),
            (io::Error::other(untrusted), Reason::ServiceUnavailable, "certificate authority"),
            (io::Error::other(alert), Reason::Unauthorized, "client certificate"),
            (io::Error::other("no such host"), Reason::ServiceUnavailable, "no such host"),
        ] {
            let error = from_status(&Status::from_error(source.into()), "apiserver at https://[::1]:6443");
            assert_eq!(error.reason, reason);
            assert!(error.message.contains(part), "{error}");
            assert!(error.message.contains("apiserver at https://[::1]:6443"), "{error}");
        }
    }
}
