//! Where retroactive spans find their tracer.
//!
//! The tracer rides in the subscriber, next to the layer that exports live spans, so both always end up in the same place:
//! a test with a subscriber of its own sees all of its spans and nobody else's.

use opentelemetry_sdk::trace::SdkTracer;
use tracing::Subscriber;
use tracing_subscriber::Layer;

/// A layer that does nothing but hold the tracer.
pub(super) struct TracerLayer(SdkTracer);

impl TracerLayer {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self(tracer)
    }
}

impl<S: Subscriber> Layer<S> for TracerLayer {}

/// The tracer of the current subscriber; none when nothing is exported.
pub(crate) fn tracer() -> Option<SdkTracer> {
    tracing::dispatcher::get_default(|dispatch| dispatch.downcast_ref::<TracerLayer>().map(|layer| layer.0.clone()))
}
