//! What the kubelet serves to the apiserver: logs, exec, attach and port-forward of its pods (`traceplane.v1.Kubelet`), on its own port beside
//! health and metrics.
//!
//! ```text
//! apiserver ──mutual TLS──> authorize ──> find the pod and its container ──> runtime (PodStreams, ContainerLogs)
//!                                              (lookup, choose: pure)             └──> messages: logs, session, forward
//! ```
//!
//! Invariants: only the apiserver gets here; a stream that nobody reads any more is dropped with what it runs; every stream ends when the
//! kubelet stops, and says so. Nothing is buffered but what the seam bounds.
//!
//! It does not decide which container is meant where the user named none, nor who may do what: both are the apiserver's.

mod authorize;
mod choose;
mod format;
mod forward;
mod logs;
mod lookup;
mod session;
mod until_stopped;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::rpc::{
    LogChunk, LogsRequest, PortForwardInput, PortForwardOutput, SessionInput, SessionOutput, port_forward_input,
    session_input,
};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::routing::post;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Response;
use prost::Message;
use service_kit::Shutdown;
use service_kit::rpc_status::to_status;
use telemetry::span::server::RequestSpan;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use until_stopped::until_stopped;

pub use lookup::Lookup;

type Answer = Response<tonic::body::Body>;

/// The server of all nodes of the process.
struct Server {
    lookup: Lookup,
    shutdown: Shutdown,
}

/// The routes of the service; streams end when `shutdown` is triggered.
pub fn routes(lookup: Lookup, shutdown: Shutdown) -> Router {
    let server = Arc::new(Server { lookup, shutdown });
    Router::new()
        .route("/traceplane.v1.Kubelet/Logs", post(logs))
        .route("/traceplane.v1.Kubelet/Exec", post(exec))
        .route("/traceplane.v1.Kubelet/Attach", post(attach))
        .route("/traceplane.v1.Kubelet/PortForward", post(port_forward))
        .with_state(server)
        // One span per stream, in the trace of the apiserver's call: nobody else gets this far.
        .layer(telemetry::span::server::layer())
        .layer(from_fn(authorize::authorize))
}

async fn logs(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let shutdown = server.shutdown.clone();
    answer::<LogsRequest, LogChunk, _, _>(&shutdown, request, |mut messages| async move {
        let request = messages.message().await.ok().flatten().ok_or_else(|| no_start("Logs"))?;
        let found = server.lookup.find(request.pod.as_ref(), |name| format!("pod {name:?} does not exist"))?;
        Ok(logs::open(&found, &request, jiff::Timestamp::now()).await?.boxed())
    })
    .await
}

async fn exec(State(server): State<Arc<Server>>, request: Request) -> Answer {
    sessions(server, request, session::Kind::Exec).await
}

async fn attach(State(server): State<Arc<Server>>, request: Request) -> Answer {
    sessions(server, request, session::Kind::Attach).await
}

async fn sessions(server: Arc<Server>, request: Request, kind: session::Kind) -> Answer {
    let shutdown = server.shutdown.clone();
    answer::<SessionInput, SessionOutput, _, _>(&shutdown, request, move |mut messages| async move {
        let Ok(Some(SessionInput { input: Some(session_input::Input::Start(start)) })) = messages.message().await
        else {
            return Err(no_start(kind.method()));
        };
        let found = server.lookup.find(start.pod.as_ref(), |_| "pod does not exist".to_owned())?;
        Ok(session::open(&found, kind, start, messages).await?.boxed())
    })
    .await
}

async fn port_forward(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let shutdown = server.shutdown.clone();
    answer::<PortForwardInput, PortForwardOutput, _, _>(&shutdown, request, |mut messages| async move {
        let Ok(Some(PortForwardInput { input: Some(port_forward_input::Input::Start(start)) })) =
            messages.message().await
        else {
            return Err(no_start("PortForward"));
        };
        let found = server.lookup.find(start.pod.as_ref(), |_| "pod does not exist".to_owned())?;
        Ok(forward::open(&found, start.port, messages).await?.boxed())
    })
    .await
}

fn no_start(method: &str) -> api::Error {
    api::Error::bad_request(format!("the first message of {method} must be its start"))
}

/// Answers with what `open` opens, until the kubelet stops. The call's span lasts as long as the answer.
async fn answer<I, O, F, Opening>(shutdown: &Shutdown, request: Request<Body>, open: F) -> Answer
where
    I: Message + Default + 'static,
    O: Message + 'static,
    F: FnOnce(Streaming<I>) -> Opening + Send,
    Opening: Future<Output = api::Result<BoxStream<'static, Result<O, Status>>>> + Send,
{
    let span = RequestSpan::of(request.extensions());
    let mut open = Some(open);
    let service = service_fn(|messages: tonic::Request<Streaming<I>>| {
        let opening = open.take().expect("a call is served once")(messages.into_inner());
        let span = span.clone();
        async move {
            let stream = Box::pin(opening).await.map_err(|error| to_status(&error))?;
            Ok::<_, Status>(tonic::Response::new(until_stopped(stream, shutdown, span)))
        }
    });
    Grpc::new(ProstCodec::<O, I>::default()).streaming(service, request).await
}
