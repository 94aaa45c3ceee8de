//! The socket of a runtime: how long calls may take, and what to say when they cannot be made.

use std::error::Error;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::runtime::{Result, RuntimeError};

/// How long a call may take that has no reason to take long (`runtimeRequestTimeout` of Kubernetes).
pub(super) const REQUEST: Duration = Duration::from_secs(120);
/// Making a sandbox includes its network; Kubernetes doubles the time for it.
pub(super) const SANDBOX: Duration = Duration::from_secs(240);

const FLAG: &str = "--container-runtime-endpoint";
const EXAMPLE: &str = "unix:///run/containerd/containerd.sock";

/// Where a runtime is, for messages.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    endpoint: Arc<str>,
}

impl Socket {
    /// A socket by its endpoint, and a channel that connects to it when it is used.
    pub(super) fn at(endpoint: &str) -> std::result::Result<(Self, Channel), String> {
        let wrong = |why: &str| format!("{FLAG} {endpoint}: {why}, such as {EXAMPLE}");
        let Some(path) = endpoint.strip_prefix("unix://") else {
            return Err(wrong("the endpoint of a runtime is a unix socket"));
        };
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err(wrong("the path of the socket must be absolute"));
        }
        // A socket that is not there may come; a file or a folder never becomes one.
        if path.metadata().is_ok_and(|file| !file.file_type().is_socket()) {
            return Err(wrong("there is no socket but a file or folder; name the runtime's socket"));
        }
        let channel = Endpoint::from_shared(endpoint.to_owned()).map_err(|error| wrong(&error.to_string()))?;
        Ok((Self::named(endpoint), channel.connect_lazy()))
    }

    pub(super) fn named(endpoint: &str) -> Self {
        Self { endpoint: endpoint.into() }
    }

    /// Awaits an answer of the runtime, at most for `limit`.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = std::result::Result<Response<T>, Status>>,
    ) -> Result<T> {
        match timeout(limit, call).await {
            Ok(answer) => self.taken(answer),
            Err(_) => {
                Err(RuntimeError { code: Code::DeadlineExceeded, message: "context deadline exceeded".to_owned() })
            }
        }
    }

    /// An answer without a limit.
    pub(super) fn taken<T>(&self, answer: std::result::Result<Response<T>, Status>) -> Result<T> {
        answer.map(Response::into_inner).map_err(|status| self.explained(status))
    }

    /// A failure in words that lead to its cause.
    pub(super) fn explained(&self, status: Status) -> RuntimeError {
        if let Some(cause) = root_cause(&status) {
            let path = self.endpoint.trim_start_matches("unix://");
            let message = format!(
                "connection error: desc = \"transport: Error while dialing: dial unix {path}: {cause}\" (is the runtime up, \
                 and is this its socket? {FLAG} names it)"
            );
            return RuntimeError { code: Code::Unavailable, message };
        }
        let mut error = RuntimeError::from(status);
        if error.code == Code::Unimplemented && error.message.starts_with("unknown service runtime.v1.") {
            // What Docker installs as containerd has its CRI plugin switched off.
            error.message = format!(
                "validate CRI v1 runtime API for endpoint {:?}: {}; take `cri` out of `disabled_plugins` in the runtime's configuration, \
                 or name the socket of containerd 1.6 or newer with {FLAG}",
                self.endpoint, error.message
            );
        }
        error
    }
}

/// Why the connection failed, as Go says it; `None` when the runtime itself has answered.
fn root_cause(status: &Status) -> Option<String> {
    let mut cause: &dyn Error = status.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    Some(first.into_iter().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_can_never_be_one_is_refused_with_the_flag_and_an_example() {
        let refused = |endpoint: &str| Socket::at(endpoint).expect_err("it cannot be a runtime");
        assert_eq!(
            refused("/run/containerd/containerd.sock"),
            "--container-runtime-endpoint /run/containerd/containerd.sock: the endpoint of a runtime is a unix socket, \
             such as unix:///run/containerd/containerd.sock"
        );
        assert!(refused("tcp://127.0.0.1:1").contains("is a unix socket"));
        assert!(refused("unix://run/x.sock").contains("must be absolute"));
        assert!(refused("unix:///etc").contains("name the runtime's socket"));
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_waited_for_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runtime.sock");
        let runtime =
            super::super::RemoteRuntime::at(&format!("unix://{}", path.display()), folder.path().into()).unwrap();
        let error = crate::runtime::RuntimeService::version(&runtime).await.unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        let expected = format!("dial unix {}: no such file or directory", path.display());
        assert!(error.message.contains(&expected), "{error}");
        assert!(error.message.contains("--container-runtime-endpoint names it"), "{error}");
    }

    #[test]
    fn a_runtime_that_does_not_speak_cri_is_told_from_one_that_fails() {
        let socket = Socket::named("unix:///x.sock");
        let disabled = socket.explained(Status::unimplemented("unknown service runtime.v1.RuntimeService"));
        assert!(disabled.message.contains("disabled_plugins"), "{disabled}");
        let own = socket.explained(Status::not_found("no such container"));
        assert!(own.is_not_found() && own.message == "no such container");
    }
}
