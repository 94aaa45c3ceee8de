//! The handle that everything else is reached through.

use crate::connect::{channel, channel_by};
use crate::{ConnectError, Session};
use api::Error;
use service_kit::rpc_status::from_status;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use telemetry::RequestDetail;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

/// As long as the apiserver itself works on a request (`--request-timeout` of Kubernetes').
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What kind of component a client belongs to; it decides which steps of a journey its calls are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// A user, the scheduler or a controller.
    #[default]
    Other,
    /// A kubelet: its status writes report a pod's progress.
    Kubelet,
}

/// A connection to the apiserver with one identity. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) channel: Channel,
    /// `Bearer ...`, if the identity is a token.
    pub(crate) authorization: Option<MetadataValue<Ascii>>,
    pub(crate) timeout: Duration,
    server: Arc<str>,
    role: Role,
}

impl Client {
    /// A client for the session. No connection is made yet: a server that is down shows at the first call.
    ///
    /// # Errors
    /// The session's server is not a URL that we can use, or its token cannot be sent.
    pub fn new(session: &Session) -> Result<Client, ConnectError> {
        let mut client = Client::on(channel(session)?, &session.server);
        if let Some(token) = &session.token {
            let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| ConnectError::Token)?;
            // Kept out of HTTP/2's compression table and of debug output.
            value.set_sensitive(true);
            client.authorization = Some(value);
        }
        Ok(client)
    }

    /// A client over connections that `connect` makes, which carry HTTP/2 as it is: connections in memory, in tests. `server` is what
    /// messages call the other side, as in a kubeconfig.
    ///
    /// # Panics
    /// `server` is not of the form `https://host:port`.
    pub fn over<F, C, T>(server: &str, connect: F) -> Client
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Client::on(channel_by(server, connect).expect("the caller gives an https URL"), server)
    }

    fn on(channel: Channel, server: &str) -> Client {
        Client { channel, authorization: None, timeout: CALL_TIMEOUT, server: Arc::from(server), role: Role::Other }
    }

    /// The same connection in the service of another component.
    pub fn with_role(mut self, role: Role) -> Client {
        self.role = role;
        self
    }

    /// The same connection, giving up a call after this time instead of after a minute, all its attempts included. Watches have no such
    /// bound once they are open.
    pub fn with_timeout(mut self, timeout: Duration) -> Client {
        self.timeout = timeout;
        self
    }

    /// `https://host:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What decides the step of a call beyond its method.
    pub(crate) fn detail(&self, removes: bool) -> RequestDetail {
        RequestDetail { removes, from_kubelet: self.role == Role::Kubelet, restarts: false }
    }

    /// The error that a status of this server stands for.
    pub(crate) fn error(&self, status: &Status) -> Error {
        from_status(status, &format!("apiserver at {}", self.server))
    }

    /// There was no answer, not even an error.
    pub(crate) fn no_answer(&self, within: Duration) -> Error {
        Error::timeout(format!("no answer from apiserver at {} within {within:?}", self.server))
    }
}
