//! One call: the span, the headers, the codec and the error.

use crate::connect::{SharedToken, channel};
use crate::{ConnectError, Session};
use api::Error;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use prost::Message;
use service_kit::rpc_status::from_status;
use std::sync::Arc;
use telemetry::RequestDetail;
use telemetry::span::client::{CallTrace, Outgoing, outgoing};
use telemetry::span::{Side, SpanExt};
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tracing::Instrument;

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
    channel: Channel,
    token: SharedToken,
    server: Arc<str>,
    role: Role,
}

/// A call about to be made.
pub(crate) struct Call {
    /// Full name of the service.
    pub(crate) service: &'static str,
    /// Method of the service.
    pub(crate) method: &'static str,
    /// What its span says; `None`: it makes no span.
    pub(crate) trace: Option<CallTrace>,
}

impl Client {
    /// A client for the session. No connection is made yet: a server that is down shows at the first call.
    ///
    /// # Errors
    /// The session's server is not a URL that we can use.
    pub fn new(session: &Session) -> Result<Client, ConnectError> {
        Ok(Client {
            channel: channel(session)?,
            token: session.token.as_deref().map(Arc::from),
            server: Arc::from(session.server.as_str()),
            role: Role::Other,
        })
    }

    /// The same connection in the service of another component.
    pub fn with_role(mut self, role: Role) -> Client {
        self.role = role;
        self
    }

    /// `https://host:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What decides the step of a call beyond its method.
    pub(crate) fn detail(&self, removes: bool) -> RequestDetail {
        RequestDetail { removes, from_kubelet: self.role == Role::Kubelet }
    }

    /// One request, one answer. The future is boxed: with its message and its HTTP/2 state it is too large to be part of every caller's.
    pub(crate) fn unary<'a, Q, A>(&'a self, call: Call, message: Q) -> BoxFuture<'a, Result<A, Error>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        Box::pin(async move {
            let path = path(&call);
            let outgoing = match &call.trace {
                Some(trace) => outgoing(path.as_str(), trace),
                None => Outgoing::untraced(),
            };
            let mut request = self.request(message);
            outgoing.inject_metadata(request.metadata_mut());
            let span = outgoing.span().clone();
            let answer = async {
                let mut grpc = self.grpc();
                grpc.ready().await.map_err(|e| self.unreachable(&e))?;
                grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
            };
            let answer = answer.instrument(span.clone()).await;
            if !span.is_disabled() {
                match &answer {
                    Ok(_) => span.outcome(Side::Client, Code::Ok, "", ""),
                    Err(status) => {
                        let error = self.error(status);
                        span.outcome(Side::Client, status.code(), error.reason.as_str(), &error.message)
                    }
                };
            }
            answer.map(tonic::Response::into_inner).map_err(|status| self.error(&status))
        })
    }

    /// A stream of answers; it makes no span.
    pub(crate) async fn server_stream<Q, A>(&self, call: Call, message: Q) -> Result<Streaming<A>, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut request = self.request(message);
        Outgoing::untraced().inject_metadata(request.metadata_mut());
        let mut grpc = self.grpc();
        let ready = grpc.ready().await.map_err(|e| self.unreachable(&e));
        ready.map_err(|status| self.error(&status))?;
        let answer = grpc.server_streaming(request, path(&call), ProstCodec::<Q, A>::default()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.error(&status))
    }

    /// The error that a status of this server stands for.
    pub(crate) fn error(&self, status: &Status) -> Error {
        from_status(status, &format!("apiserver at {}", self.server))
    }

    fn unreachable(&self, error: &tonic::transport::Error) -> Status {
        Status::from_error(Box::new(std::io::Error::other(error.to_string())))
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token
            && let Ok(value) = format!("Bearer {token}").parse()
        {
            request.metadata_mut().insert("authorization", value);
        }
        request
    }
}

fn path(call: &Call) -> PathAndQuery {
    PathAndQuery::try_from(format!("/{}/{}", call.service, call.method))
        .expect("service and method names are path segments")
}
