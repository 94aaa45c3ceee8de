//! One call: its attempts, their spans, the headers, the codec and the error.

use crate::Client;
use crate::again::{classify, policy};
use api::Error;
use futures::Stream;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use prost::Message;
use service_kit::retry;
use service_kit::rpc_status::code;
use std::time::Duration;
use telemetry::span::client::{CallTrace, Outgoing, outgoing};
use telemetry::span::{Side, SpanExt};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tracing::{Instrument, Span};

/// How long a server may take to accept a stream. It accepts at once or not at all, so more than this is a server that hangs.
const STREAM_OPENS_WITHIN: Duration = Duration::from_secs(30);

/// A call about to be made.
pub(crate) struct Call {
    /// Full name of the service.
    pub(crate) service: &'static str,
    /// Method of the service.
    pub(crate) method: &'static str,
    /// What its span says; `None`: it makes no span.
    pub(crate) trace: Option<CallTrace>,
}

impl Call {
    /// Whether it changes nothing, so that it may be made twice.
    fn reads(&self) -> bool {
        matches!(self.method, "Get" | "List")
    }

    fn path(&self) -> PathAndQuery {
        PathAndQuery::try_from(format!("/{}/{}", self.service, self.method))
            .expect("service and method names are path segments")
    }
}

impl Client {
    /// One request, one answer, within the client's timeout. What may be tried again without asking is (see `again`); each attempt has a
    /// span of its own.
    ///
    /// The future is boxed: with its message and its HTTP/2 state it is too large to be part of every caller's.
    pub(crate) fn unary<'a, Q, A>(&'a self, call: Call, message: Q) -> BoxFuture<'a, Result<A, Error>>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        Box::pin(async move {
            let (call, message, deadline) = (&call, &message, Instant::now() + self.timeout);
            retry(policy(self.timeout), |attempt| async move {
                let answer = self.attempt(call, attempt, deadline, message.clone()).await;
                answer.map_err(|error| classify(call.reads(), error))
            })
            .await
        })
    }

    async fn attempt<Q, A>(&self, call: &Call, attempt: u32, deadline: Instant, message: Q) -> Result<A, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = call.path();
        let outgoing = match &call.trace {
            Some(trace) => outgoing(path.as_str(), &CallTrace { attempt, ..trace.clone() }),
            None => Outgoing::untraced(),
        };
        let mut request = self.request(message);
        // The server stops working on it then, too.
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        outgoing.inject_metadata(request.metadata_mut());
        let span = outgoing.span().clone();
        let answer = async {
            let mut grpc = self.grpc().await?;
            grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
        };
        let answer = match timeout_at(deadline, answer).instrument(span.clone()).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.error(&status)),
            Err(_) => Err(self.no_answer(self.timeout)),
        };
        record(&span, &answer);
        answer
    }

    /// A stream of answers; it makes no span and is not tried again.
    pub(crate) async fn server_stream<Q, A>(&self, call: Call, message: Q) -> Result<Streaming<A>, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut request = self.request(message);
        Outgoing::untraced().inject_metadata(request.metadata_mut());
        let opening = async {
            let mut grpc = self.grpc().await?;
            grpc.server_streaming(request, call.path(), ProstCodec::<Q, A>::default()).await
        };
        let within = self.timeout.min(STREAM_OPENS_WITHIN);
        match timeout(within, opening).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(|status| self.error(&status)),
            Err(_) => Err(self.no_answer(within)),
        }
    }

    /// Streams both ways; returns when the server has accepted them. Not tried again: what was begun may have had effects.
    pub(crate) async fn both_ways<Q, A>(
        &self,
        call: Call,
        messages: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = call.path();
        let outgoing = match &call.trace {
            Some(trace) => outgoing(path.as_str(), trace),
            None => Outgoing::untraced(),
        };
        let mut request = self.request(messages);
        outgoing.inject_metadata(request.metadata_mut());
        let span = outgoing.span().clone();
        let opening = async {
            let mut grpc = self.grpc().await?;
            grpc.streaming(request, path, ProstCodec::<Q, A>::default()).await
        };
        let answer = match timeout(self.timeout, Box::pin(opening)).instrument(span.clone()).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.error(&status)),
            Err(_) => Err(self.no_answer(self.timeout)),
        };
        record(&span, &answer);
        answer
    }

    /// Returns when a request can be sent, or the connection has failed.
    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        // The server bounds what it sends; a list has no size of its own.
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        Ok(grpc)
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }
}

fn record<A>(span: &Span, answer: &Result<A, Error>) {
    match answer {
        Ok(_) => span.outcome(Side::Client, Code::Ok, "", ""),
        Err(error) => span.outcome(Side::Client, code(error.reason), error.reason.as_str(), &error.message),
    };
}
