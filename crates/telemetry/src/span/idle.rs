//! Runs that turn out to have nothing to do: resyncs, replays and heartbeats that change nothing make no spans.
//!
//! A run without a cause, or with one that a relist replayed, cannot know at its start whether there is work left, yet what
//! it writes needs a parent. So its span is *idle*: below it no child is made, until work begins (a client is about to
//! write, the runtime to start something). A run that ends idle is discarded before export. Nothing can hang on it,
//! because it had no children.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, TraceContextExt};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Shared by the contexts of the run's span and of all spans under it.
#[derive(Clone)]
struct Idle(Arc<Inner>);

struct Inner {
    is_idle: AtomicBool,
    /// Runs once, when work begins.
    then: Mutex<Option<Then>>,
}

type Then = Box<dyn FnOnce() + Send>;

impl Idle {
    fn is_idle(&self) -> bool {
        self.0.is_idle.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Idle").field(&self.is_idle()).finish()
    }
}

/// A parent context, below `parent`, for the span of a run that is idle at first. `then` happens when work begins.
pub(super) fn under(parent: &Context, then: impl FnOnce() + Send + 'static) -> Context {
    let then: Then = Box::new(then);
    parent.with_value(Idle(Arc::new(Inner { is_idle: AtomicBool::new(true), then: Mutex::new(Some(then)) })))
}

/// Whether `cx` lies in a run that has done nothing yet.
pub(super) fn is_idle(cx: &Context) -> bool {
    cx.get::<Idle>().is_some_and(Idle::is_idle)
}

/// Says that the current run changes something: from here on it makes spans, if it made none for want of a cause.
///
/// The seams call it (a client that writes, a scheduling cycle, the runtime); business code has no need to.
pub fn work_begins() {
    let idle = Context::map_current(|cx| cx.get::<Idle>().cloned());
    if let Some(Idle(inner)) = idle.filter(Idle::is_idle) {
        inner.is_idle.store(false, Ordering::Release);
        let then = inner.then.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(then) = then {
            then();
        }
    }
}

/// Passes spans on, except those of runs that end idle.
#[derive(Debug)]
pub(crate) struct SkipIdle<P> {
    inner: P,
    /// The open spans of runs that began idle. Only they touch the lock: `open` lets every other span pass by.
    runs: Mutex<HashMap<SpanId, Idle>>,
    open: AtomicUsize,
}

impl<P: SpanProcessor> SkipIdle<P> {
    pub(crate) fn new(inner: P) -> Self {
        Self { inner, runs: Mutex::default(), open: AtomicUsize::new(0) }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<SpanId, Idle>> {
        // The map is consistent after every statement, so a panic elsewhere does not spoil it.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: SpanProcessor> SpanProcessor for SkipIdle<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        // Only the topmost span of this process: below it the active span is a local one.
        let topmost = !cx.has_active_span() || cx.span().span_context().is_remote();
        if let (true, Some(idle)) = (topmost, cx.get::<Idle>()) {
            self.open.fetch_add(1, Ordering::AcqRel);
            self.runs().insert(span.span_context().span_id(), idle.clone());
        }
        self.inner.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.open.load(Ordering::Acquire) > 0 {
            let ended = self.runs().remove(&span.span_context.span_id());
            if let Some(idle) = ended {
                self.open.fetch_sub(1, Ordering::AcqRel);
                if idle.is_idle() {
                    return;
                }
            }
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
