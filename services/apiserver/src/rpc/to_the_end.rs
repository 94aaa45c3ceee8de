//! A change that has begun is carried to its end, even if who asked for it is gone.
//!
//! A client that dies takes its connection with it, and the server then drops whatever it was doing for that client: in the
//! middle of a transaction nobody would learn whether it was committed, its span would lack step and revision, and what is to
//! be undone after a failure would stay. kube-apiserver, too, leaves a handler running when its request has ended.

use std::future::Future;
use std::panic::resume_unwind;

use telemetry::span::carry;

/// Runs `change` in a task of its own, in the span and the trace of now, and waits for it. Dropping this future does not stop it.
///
/// # Panics
/// If `change` does.
pub(super) async fn to_the_end<T: Send + 'static>(change: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(carry(change)).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Nobody aborts it, so the runtime itself is ending, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use telemetry::testing::Recorder;
    use telemetry::{TraceContext, self_started_span};
    use tokio::sync::oneshot;
    use tracing::Instrument;

    #[tokio::test]
    async fn a_change_goes_on_in_its_trace_when_nobody_waits_any_more() {
        let recorder = Recorder::new();
        let _current = recorder.install();
        let (begin, begins) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let request = self_started_span("request", &TraceContext::NONE);
        let mut change = Box::pin(to_the_end(async move {
            begins.await.unwrap();
            tell.send(TraceContext::current()).unwrap();
        }));
        // Long enough to begin it, and then its client is gone.
        let gone = async { poll!(&mut change) }.instrument(request.clone()).await;
        assert!(gone.is_pending());
        drop(change);
        begin.send(()).unwrap();
        assert_eq!(told.await.unwrap(), TraceContext::of(&request));
    }

    #[tokio::test]
    #[should_panic(expected = "what the change said")]
    async fn a_panic_is_the_callers() {
        to_the_end(async { panic!("what the change said") }).await;
    }
}
