//! Roots that turn out to have done nothing: resyncs, timers and heartbeats that change nothing make no spans.
//!
//! A run without a cause cannot know at its start whether it will change anything, yet its writes need a parent. So it gets
//! a root that is *idle*: under it no child is made, until a client is about to write; that ends the idleness. A root that
//! ends idle is discarded before export. Nothing can hang on it, because it had no children.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId, TraceContextExt};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Shared by the root's context and all contexts under it.
#[derive(Clone, Debug)]
struct Idle(Arc<AtomicBool>);

/// The parent context of an idle root.
pub(super) fn root_context() -> Context {
    under(&Context::new())
}

/// The same below `parent`: a span that is exported only if something changes inside it.
pub(super) fn under(parent: &Context) -> Context {
    parent.with_value(Idle(Arc::new(AtomicBool::new(true))))
}

/// Whether `cx` lies under a root that has done nothing yet.
pub(super) fn is_idle(cx: &Context) -> bool {
    cx.get::<Idle>().is_some_and(|idle| idle.0.load(Ordering::Relaxed))
}

/// Ends the idleness of the current root, if it is idle: something is about to change.
pub(super) fn end() {
    Context::map_current(|cx| {
        if let Some(idle) = cx.get::<Idle>() {
            idle.0.store(false, Ordering::Relaxed);
        }
    });
}

/// Passes spans on, except roots that end idle.
#[derive(Debug)]
pub(crate) struct SkipIdle<P> {
    inner: P,
    /// The idle roots that are open. Only they touch the lock: `open` lets every other span pass by.
    roots: Mutex<HashMap<SpanId, Idle>>,
    open: AtomicUsize,
}

impl<P: SpanProcessor> SkipIdle<P> {
    pub(crate) fn new(inner: P) -> Self {
        Self { inner, roots: Mutex::default(), open: AtomicUsize::new(0) }
    }

    fn roots(&self) -> std::sync::MutexGuard<'_, HashMap<SpanId, Idle>> {
        // The map is consistent after every statement, so a panic elsewhere does not spoil it.
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: SpanProcessor> SpanProcessor for SkipIdle<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        // Only the topmost span of this process: below it the active span is a local one.
        let topmost = !cx.has_active_span() || cx.span().span_context().is_remote();
        if let (true, Some(idle)) = (topmost, cx.get::<Idle>()) {
            self.open.fetch_add(1, Ordering::AcqRel);
            self.roots().insert(span.span_context().span_id(), idle.clone());
        }
        self.inner.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.open.load(Ordering::Acquire) > 0 {
            let ended = self.roots().remove(&span.span_context.span_id());
            if let Some(idle) = ended {
                self.open.fetch_sub(1, Ordering::AcqRel);
                if idle.0.load(Ordering::Relaxed) {
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
