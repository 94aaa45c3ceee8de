//! The queue with exporters that answer, fail, or never answer.

use std::sync::{Condvar, Mutex};
use std::time::Instant;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId};

use super::*;

/// How long a test waits for the thread before it gives up; it never waits that long when it passes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Remembers the sizes of its batches; can be told to fail, and to wait before it answers.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<(Mutex<Seen>, Condvar)>);

#[derive(Debug, Default)]
struct Seen {
    batches: Vec<usize>,
    is_stuck: bool,
    is_away: bool,
}

impl Collector {
    fn set(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let seen = self.0.0.lock().unwrap();
        let (seen, timeout) = self.0.1.wait_timeout_while(seen, PATIENCE, |seen| !holds(seen)).unwrap();
        assert!(!timeout.timed_out(), "{what}: {seen:?}");
    }

    fn batches(&self) -> Vec<usize> {
        self.0.0.lock().unwrap().batches.clone()
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.set(|seen| seen.batches.push(batch.len()));
        let seen = self.0.0.lock().unwrap();
        let (seen, _) = self.0.1.wait_timeout_while(seen, PATIENCE, |seen| seen.is_stuck).unwrap();
        if seen.is_away { Err(OTelSdkError::InternalFailure("away".into())) } else { Ok(()) }
    }
}

fn batch(queue: usize, size: usize, delay: Duration) -> Batch {
    Batch { queue, size, delay, timeout: PATIENCE }
}

fn start(collector: &Collector, batch: Batch) -> QueueProcessor {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    QueueProcessor::start(collector.clone(), batch, runtime).unwrap()
}

fn span(is_sampled: bool) -> SpanData {
    let now = std::time::SystemTime::now();
    let flags = TraceFlags::default().with_sampled(is_sampled);
    SpanData {
        span_context: SpanContext::new(TraceId::from(1), SpanId::from(1), flags, false, Default::default()),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "test".into(),
        start_time: now,
        end_time: now,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

#[test]
fn a_full_queue_drops_counts_and_never_blocks() {
    let collector = Collector::default();
    collector.set(|seen| seen.is_stuck = true);
    let queue = start(&collector, batch(10, 1, Duration::ZERO));
    queue.on_end(span(true));
    collector.wait_until("the exporter is stuck with a batch", |seen| seen.batches.len() == 1);

    let began = Instant::now();
    (0..1_000).for_each(|_| queue.on_end(span(true)));
    assert!(began.elapsed() < PATIENCE / 2, "ending a span waited for the exporter");
    assert_eq!(queue.counters.read().dropped, 990);

    collector.set(|seen| seen.is_stuck = false);
    queue.force_flush().unwrap();
    assert_eq!(queue.counters.read(), ExportStats { exported: 11, dropped: 990, failed: 0 });
}

#[test]
fn spans_leave_in_batches_of_the_configured_size() {
    let collector = Collector::default();
    let queue = start(&collector, batch(100, 4, PATIENCE * 10));
    (0..3).for_each(|_| queue.on_end(span(true)));
    assert_eq!(collector.batches(), [0; 0], "a batch that is neither full nor old stays");
    queue.on_end(span(true));
    queue.on_end(span(true));
    collector.wait_until("a full batch does not wait for the delay", |seen| !seen.batches.is_empty());
    queue.force_flush().unwrap();
    assert_eq!(collector.batches().iter().sum::<usize>(), 5);
    assert!(collector.batches().iter().all(|size| *size <= 4));
}

#[test]
fn a_lonely_span_leaves_after_the_delay() {
    let collector = Collector::default();
    let queue = start(&collector, batch(100, 50, Duration::from_millis(1)));
    queue.on_end(span(true));
    collector.wait_until("the delay is over", |seen| seen.batches == [1]);
}

#[test]
fn an_unsampled_span_is_neither_exported_nor_counted() {
    let collector = Collector::default();
    let queue = start(&collector, batch(1, 1, Duration::ZERO));
    (0..10).for_each(|_| queue.on_end(span(false)));
    queue.force_flush().unwrap();
    assert_eq!((collector.batches().len(), queue.counters.read()), (0, ExportStats::default()));
}

#[test]
fn shutdown_sends_what_is_left_and_later_spans_are_dropped() {
    let collector = Collector::default();
    let queue = start(&collector, batch(100, 50, PATIENCE * 10));
    (0..7).for_each(|_| queue.on_end(span(true)));
    queue.shutdown_with_timeout(PATIENCE).unwrap();
    queue.on_end(span(true));
    assert_eq!(queue.counters.read(), ExportStats { exported: 7, dropped: 1, failed: 0 });
    assert!(matches!(queue.force_flush(), Err(OTelSdkError::AlreadyShutdown)));
}

#[test]
fn shutdown_is_bounded_when_the_collector_does_not_answer() {
    let collector = Collector::default();
    collector.set(|seen| seen.is_stuck = true);
    let queue = start(&collector, batch(10, 1, Duration::ZERO));
    queue.on_end(span(true));
    let result = queue.shutdown_with_timeout(Duration::from_millis(20));
    assert!(matches!(result, Err(OTelSdkError::Timeout(_))), "{result:?}");
    collector.set(|seen| seen.is_stuck = false);
}

#[test]
fn a_collector_that_is_away_costs_its_spans_and_nothing_else() {
    let collector = Collector::default();
    collector.set(|seen| seen.is_away = true);
    let queue = start(&collector, batch(100, 2, PATIENCE * 10));
    (0..5).for_each(|_| queue.on_end(span(true)));
    assert!(queue.force_flush().is_err());
    collector.set(|seen| seen.is_away = false);
    queue.on_end(span(true));
    queue.force_flush().unwrap();
    assert_eq!(queue.counters.read(), ExportStats { exported: 1, dropped: 0, failed: 5 });
}
