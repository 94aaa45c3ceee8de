//! One stream between a client and a kubelet: bytes both ways, and an end for every way in which it can end.
//!
//! | end | what the client gets |
//! |---|---|
//! | the kubelet ends it | the kubelet's own status |
//! | the kubelet is lost | UNAVAILABLE: lost connection to the kubelet |
//! | the apiserver stops | UNAVAILABLE: the apiserver is stopping |
//! | the call's deadline passes | DEADLINE_EXCEEDED |
//! | the client goes away | nothing; the connection to the kubelet is closed |

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use api::core::v1::Node;
use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use service_kit::Shutdown;
use service_kit::rpc_status::to_status;
use telemetry::span::client::{CallTrace, outgoing};
use telemetry::span::server::RequestSpan;
use telemetry::span::{Side, SpanExt};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;
use tracing::{Instrument, Span};

use super::Kubelets;
use crate::server::Deadline;

/// What ends streams from outside.
#[derive(Clone, Debug)]
pub(crate) struct Ending(Shutdown);

impl Ending {
    /// Streams end when the server stops.
    pub(crate) fn new(shutdown: &Shutdown) -> Self {
        Self(shutdown.clone())
    }
}

impl Kubelets {
    /// Opens the stream `path` at the kubelet of `node` with this first message, and makes its answer ours.
    pub(crate) async fn relay(
        &self,
        node: &Node,
        path: &'static str,
        first: &[u8],
        request: Request<Body>,
        ending: &Ending,
    ) -> api::Result<Response<tonic::body::Body>> {
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let call = RequestSpan::of(request.extensions());
        let outgoing = outgoing(path, &CallTrace::default());
        let span = outgoing.span().clone();
        let opened = async {
            let mut connection = self.dial(node).await?;
            let first = stream::iter([Ok(framed(first))]);
            let body = Body::from_stream(first.chain(request.into_body().into_data_stream()));
            let mut request = Request::post(format!("https://{}{path}", connection.authority))
                .header(CONTENT_TYPE, "application/grpc")
                .header(TE, "trailers")
                .body(body)
                .map_err(api::Error::internal)?;
            outgoing.inject(request.headers_mut());
            let answer = connection.sender.send_request(request).await.map_err(|_| lost(&node.metadata.name))?;
            Ok((checked(node, answer)?, connection.open))
        };
        let opened: api::Result<_> = opened.instrument(span.clone()).await;
        if let Err(error) = &opened {
            span.outcome(
                Side::Client,
                service_kit::rpc_status::code(error.reason),
                error.reason.as_str(),
                &error.message,
            );
        }
        let (answer, open) = opened?;
        Ok(answer.map(|body| {
            tonic::body::Body::new(Relayed {
                kubelet: Some((body, open)),
                node: node.metadata.name.clone(),
                stopped: Box::pin(ending.0.token().cancelled_owned()),
                expired: deadline.map(|deadline: Instant| Box::pin(sleep_until(deadline))),
                _spans: [call, span],
            })
        }))
    }
}

/// A message as gRPC frames it.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("first messages are bounded"));
    framed.put_slice(message);
    framed.freeze()
}

/// The answer, unless it is no kubelet's, or one about us and not about what the client asked for.
fn checked(node: &Node, answer: Response<Incoming>) -> api::Result<Response<Incoming>> {
    let name = &node.metadata.name;
    let is_grpc =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !answer.status().is_success() || !is_grpc {
        let message = format!("the kubelet of node {name:?} answers {} and no stream", answer.status());
        return Err(api::Error::new(api::Reason::Unknown, message));
    }
    if let Some(status) = tonic::Status::from_header_map(answer.headers())
        && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
    {
        let message = format!(
            "the kubelet of node {name:?} refuses this apiserver: {}; check --kubelet-client-certificate here and \
             --client-ca-file there",
            status.message()
        );
        return Err(api::Error::new(api::Reason::Unknown, message));
    }
    Ok(answer)
}

fn lost(node: &str) -> api::Error {
    api::Error::unavailable(format!("lost connection to the kubelet of node {node:?}"))
}

/// The body of a relayed answer.
struct Relayed {
    /// The kubelet's answer and the connection it comes on; none once the stream has ended.
    kubelet: Option<(Incoming, AbortOnDropHandle<()>)>,
    node: String,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    expired: Option<Pin<Box<Sleep>>>,
    /// The client's call and ours; they last as long as the stream.
    _spans: [Span; 2],
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // The end first: a stream that always has more would never see it.
        if self.kubelet.is_some()
            && let Poll::Ready(why) = self.poll_end(cx)
        {
            return Poll::Ready(Some(Ok(self.end(&why))));
        }
        let Some((body, _)) = &mut self.kubelet else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(_))) => {
                let why = lost(&self.node);
                Poll::Ready(Some(Ok(self.end(&why))))
            }
            Poll::Ready(None) => {
                self.kubelet = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.kubelet.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }
}

impl Relayed {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<api::Error> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(api::Error::unavailable(
                "the apiserver is stopping: the stream has ended, open it again",
            ));
        }
        match &mut self.expired {
            Some(expired) => {
                expired.as_mut().poll(cx).map(|()| api::Error::timeout("the deadline of the call has passed"))
            }
            None => Poll::Pending,
        }
    }

    /// Hangs up, and tells the client why.
    fn end(&mut self, why: &api::Error) -> Frame<Bytes> {
        self.kubelet = None;
        let mut trailers = HeaderMap::new();
        if to_status(why).add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", HeaderValue::from_static("14"));
        }
        Frame::trailers(trailers)
    }
}
