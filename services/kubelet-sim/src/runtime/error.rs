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

impl RuntimeError {
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
