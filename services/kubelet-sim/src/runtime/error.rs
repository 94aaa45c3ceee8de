//! Why a runtime call failed.

use tonic::{Code, Status};

/// A gRPC status without its transport: CRI's only form of error. Printed as the kubelet prints it in events, so that a message
/// here reads like one of a real node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rpc error: code = {code:?} desc = {message}")]
pub struct RuntimeError {
    /// What kind of failure it is; `NotFound` is the one callers branch on.
    pub code: Code,
    /// What happened, naming the image, sandbox or container.
    pub message: String,
}

/// What a failed pull may begin with, and what that means. Runtimes and kubelets have agreed on these words.
pub const PULL_FAILURES: [(&str, &str); 2] = [
    ("RegistryUnavailable", "the registry is unavailable"),
    ("SignatureValidationFailed", "the signature validation failed"),
];

impl RuntimeError {
    /// An image that could not be brought, in containerd's words; `why` may begin with one of [`PULL_FAILURES`].
    pub(super) fn not_pulled(image: &str, why: &str) -> Self {
        let failed = |why: &str| {
            format!("failed to pull and unpack image {image:?}: failed to resolve reference {image:?}: {why}")
        };
        match why {
            "not found" => Self::not_found(failed(&format!("{image}: not found"))),
            _ if PULL_FAILURES.iter().any(|(word, _)| why.starts_with(word)) => Self::unknown(why),
            _ => Self::unknown(failed(why)),
        }
    }

    /// Any failure that has no better code.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { code: Code::Unknown, message: message.into() }
    }

    /// The named thing does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { code: Code::NotFound, message: message.into() }
    }

    /// This runtime cannot do it.
    pub fn unimplemented(what: &str) -> Self {
        Self { code: Code::Unimplemented, message: format!("this container runtime has no {what}") }
    }

    /// Whether the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}

impl From<Status> for RuntimeError {
    fn from(status: Status) -> Self {
        Self { code: status.code(), message: status.message().to_owned() }
    }
}

impl From<RuntimeError> for Status {
    fn from(error: RuntimeError) -> Self {
        Status::new(error.code, error.message)
    }
}
