//! A call that waits for its answer.

use api::Error;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use prost::Message;
use service_kit::rpc_status::to_status;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};

/// What a stream of answers carries.
pub(super) type Answer = Result<Bytes, Status>;

/// A call of the client under test. Dropped without an answer, it fails as a call does whose server died.
#[derive(Debug)]
pub struct ScriptedCall {
    /// The headers that came with it.
    pub headers: HeaderMap,
    path: String,
    message: Bytes,
    accept: oneshot::Sender<Result<mpsc::UnboundedReceiver<Answer>, Status>>,
}

impl ScriptedCall {
    /// Full name of the service: `traceplane.v1.Pods`.
    pub fn service(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    /// `Create`.
    pub fn method(&self) -> &str {
        self.path.split('/').nth(2).unwrap_or_default()
    }

    /// The request.
    ///
    /// # Panics
    /// It is of another type.
    pub fn request<Q: Message + Default>(&self) -> Q {
        Q::decode(self.message.clone()).expect("the test knows the type of the request")
    }

    /// Answers with a message.
    pub fn answer(self, message: &impl Message) {
        // Fails only if the client has given up.
        let _ = self.stream().send(Ok(message.encode_to_vec().into()));
    }

    /// Answers with an error.
    pub fn refuse(self, error: &Error) {
        let _ = self.accept.send(Err(to_status(error)));
    }

    /// Answers with a stream that ends when the sender is dropped.
    pub(super) fn stream(self) -> mpsc::UnboundedSender<Answer> {
        let (sender, answers) = mpsc::unbounded_channel();
        let _ = self.accept.send(Ok(answers));
        sender
    }

    /// Whether the client no longer waits.
    pub fn is_abandoned(&self) -> bool {
        self.accept.is_closed()
    }
}

/// Turns one HTTP request into a [`ScriptedCall`] and waits for its answers.
pub(super) struct Answers {
    path: String,
    headers: HeaderMap,
    calls: mpsc::UnboundedSender<ScriptedCall>,
}

impl Answers {
    pub(super) fn new<B>(request: &http::Request<B>, calls: mpsc::UnboundedSender<ScriptedCall>) -> Self {
        Answers { path: request.uri().path().to_owned(), headers: request.headers().clone(), calls }
    }
}

impl StreamingService<Bytes> for Answers {
    type Response = Bytes;
    type ResponseStream = UnboundedReceiverStream<Answer>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (path, headers, calls) = (self.path.clone(), self.headers.clone(), self.calls.clone());
        Box::pin(async move {
            let message = request.into_inner().next().await.unwrap_or_else(|| Err(Status::internal("no message")))?;
            let (accept, accepted) = oneshot::channel();
            let gone = || Status::unavailable("the script has ended");
            calls.send(ScriptedCall { headers, path, message, accept }).map_err(|_| gone())?;
            let answers = accepted.await.map_err(|_| gone())??;
            Ok(Response::new(UnboundedReceiverStream::new(answers)))
        })
    }
}
