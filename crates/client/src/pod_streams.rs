//! Logs, exec, attach and port-forward of a pod; `proto/traceplane/v1/streams.proto` says what holds for them.
//!
//! A stream is opened within the client's timeout, like a watch; once open it has no bound. Dropping it ends it at once, on all the way to the
//! container.

use crate::{Api, Client};
use api::Error;
use api::core::v1::Pod;
use api::rpc::{
    LogChunk, LogsRequest, PodTarget, PortForwardInput, PortForwardOutput, PortForwardStart, SessionInput,
    SessionOutput, SessionStart, port_forward_input, session_input,
};
use futures::{StreamExt, stream};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Streaming;

/// How many messages may wait to be sent.
const WAITING: usize = 4;

/// What comes from a pod.
#[derive(Debug)]
pub struct PodStream<A> {
    client: Client,
    answers: Streaming<A>,
}

/// What goes to a pod. Dropping it ends our side of the stream, and with it the process's input.
pub type Sender<Q> = mpsc::Sender<Q>;

impl<A> PodStream<A> {
    /// The next message; `None` when the stream has ended well.
    pub async fn next(&mut self) -> Option<Result<A, Error>> {
        let answer = self.answers.next().await?;
        Some(answer.map_err(|status| self.client.error(&status)))
    }
}

impl Api<Pod> {
    /// What a container has printed; the request's target needs no more than what `name` says.
    pub async fn logs(&self, name: &str, request: LogsRequest) -> Result<PodStream<LogChunk>, Error> {
        let request = LogsRequest { pod: Some(self.target(name, request.pod)), ..request };
        let answers = self.client().server_stream(self.call("Logs", name, false), request).await?;
        Ok(PodStream { client: self.client().clone(), answers })
    }

    /// Runs a command in a container.
    pub async fn exec(
        &self,
        name: &str,
        start: SessionStart,
    ) -> Result<(Sender<SessionInput>, PodStream<SessionOutput>), Error> {
        self.session("Exec", name, start).await
    }

    /// Joins a container's own streams.
    pub async fn attach(
        &self,
        name: &str,
        start: SessionStart,
    ) -> Result<(Sender<SessionInput>, PodStream<SessionOutput>), Error> {
        self.session("Attach", name, start).await
    }

    /// Connects to a port of a pod.
    pub async fn port_forward(
        &self,
        name: &str,
        port: u16,
    ) -> Result<(Sender<PortForwardInput>, PodStream<PortForwardOutput>), Error> {
        let start = PortForwardStart { pod: Some(self.target(name, None)), port: port.into() };
        let start = PortForwardInput { input: Some(port_forward_input::Input::Start(start)) };
        self.both_ways("PortForward", name, start).await
    }

    async fn session(
        &self,
        method: &'static str,
        name: &str,
        start: SessionStart,
    ) -> Result<(Sender<SessionInput>, PodStream<SessionOutput>), Error> {
        let start = SessionStart { pod: Some(self.target(name, start.pod)), ..start };
        self.both_ways(method, name, SessionInput { input: Some(session_input::Input::Start(start)) }).await
    }

    async fn both_ways<Q, A>(
        &self,
        method: &'static str,
        name: &str,
        start: Q,
    ) -> Result<(Sender<Q>, PodStream<A>), Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (sender, mut messages) = mpsc::channel(WAITING);
        let messages = stream::iter([start]).chain(stream::poll_fn(move |cx| messages.poll_recv(cx)));
        let answers = self.client().both_ways(self.call(method, name, false), messages).await?;
        Ok((sender, PodStream { client: self.client().clone(), answers }))
    }

    fn target(&self, name: &str, asked: Option<PodTarget>) -> PodTarget {
        let asked = asked.unwrap_or_default();
        PodTarget { namespace: self.namespace().to_owned(), name: name.to_owned(), ..asked }
    }
}
