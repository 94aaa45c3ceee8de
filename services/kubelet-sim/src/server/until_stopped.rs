//! A stream that ends with the kubelet.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;
use service_kit::Shutdown;
use service_kit::rpc_status::to_status;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use tracing::Span;

/// Passes `stream` on until it ends or the kubelet stops, which is an error; `span` lasts as long.
pub(super) fn until_stopped<O>(
    stream: BoxStream<'static, Result<O, Status>>,
    shutdown: &Shutdown,
    span: Span,
) -> UntilStopped<O> {
    UntilStopped { stream: Some(stream), stopped: Box::pin(shutdown.token().cancelled_owned()), _span: span }
}

pub(super) struct UntilStopped<O> {
    /// None once it has ended.
    stream: Option<BoxStream<'static, Result<O, Status>>>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    _span: Span,
}

impl<O> Stream for UntilStopped<O> {
    type Item = Result<O, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream.is_none() {
            return Poll::Ready(None);
        }
        // The end first: a stream that always has more would never see it.
        if self.stopped.as_mut().poll(cx).is_ready() {
            self.stream = None;
            let error = api::Error::unavailable("the kubelet is stopping: the stream has ended, open it again");
            return Poll::Ready(Some(Err(to_status(&error))));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let next = stream.as_mut().poll_next(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.stream = None;
        }
        next
    }
}
