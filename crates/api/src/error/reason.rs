//! Why a request failed: the machine-readable word of a Kubernetes `Status`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The reason of a failed request; callers branch on this, never on the message.
///
/// The words and HTTP codes are those of [Kubernetes' `Status`](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reason {
    /// The request itself makes no sense (400).
    BadRequest,
    /// The caller is not known (401).
    Unauthorized,
    /// The caller is known and may not do this (403).
    Forbidden,
    /// There is no such object (404).
    NotFound,
    /// An object of that name exists (409).
    AlreadyExists,
    /// The object changed since it was read, or a precondition does not hold (409): read again, then retry.
    Conflict,
    /// The object is no longer available and never will be (410).
    Gone,
    /// The asked resource version was compacted away (410): list again.
    Expired,
    /// The object was understood and breaks a rule (422); the details name the fields.
    Invalid,
    /// The body exceeds the limit (413).
    RequestEntityTooLarge,
    /// None of the offered answer formats is known (406).
    NotAcceptable,
    /// The body's format is not known (415).
    UnsupportedMediaType,
    /// The resource does not offer this verb (405).
    MethodNotAllowed,
    /// The server sheds load, or a disruption budget says wait (429).
    TooManyRequests,
    /// A bug or a broken dependency (500).
    InternalError,
    /// The server cannot do this now (503): retry later.
    ServiceUnavailable,
    /// No answer in time (504); the operation may still complete.
    Timeout,
    /// The server could not finish in time because of a passing condition (500): retry.
    ServerTimeout,
    /// No reason was given, or one that this version does not know (500).
    #[default]
    Unknown,
}

impl Reason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Reason; 19] = [
        Reason::BadRequest,
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::AlreadyExists,
        Reason::Conflict,
        Reason::Gone,
        Reason::Expired,
        Reason::Invalid,
        Reason::RequestEntityTooLarge,
        Reason::NotAcceptable,
        Reason::UnsupportedMediaType,
        Reason::MethodNotAllowed,
        Reason::TooManyRequests,
        Reason::InternalError,
        Reason::ServiceUnavailable,
        Reason::Timeout,
        Reason::ServerTimeout,
        Reason::Unknown,
    ];

    /// Returns the word on the wire; [`Reason::Unknown`] is the empty string, as in Kubernetes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::BadRequest => "BadRequest",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::Conflict => "Conflict",
            Reason::Gone => "Gone",
            Reason::Expired => "Expired",
            Reason::Invalid => "Invalid",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::InternalError => "InternalError",
            Reason::ServiceUnavailable => "ServiceUnavailable",
            Reason::Timeout => "Timeout",
            Reason::ServerTimeout => "ServerTimeout",
            Reason::Unknown => "",
        }
    }

    /// Returns the HTTP status code that goes with the reason.
    pub const fn http_code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Gone | Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::InternalError | Reason::ServerTimeout | Reason::Unknown => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Unknown => "Unknown",
            known => known.as_str(),
        })
    }
}

impl FromStr for Reason {
    type Err = Infallible;

    /// Reads the word on the wire. A newer server's reason becomes [`Reason::Unknown`], so reading never fails.
    fn from_str(word: &str) -> Result<Self, Infallible> {
        let known = Reason::ALL.into_iter().find(|r| r.as_str() == word);
        Ok(known.unwrap_or(Reason::Unknown))
    }
}
