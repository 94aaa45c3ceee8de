//! The export queue: bounded, never blocking, counting what it drops.
//!
//! Invariant: ending a span costs a push into a channel that grows with its contents; a full channel loses the span and adds
//! one to a counter. A thread with a runtime of its own takes batches out and exports them.
//!
//! Why not the SDK's `BatchSpanProcessor`: it keeps the number of dropped spans to itself, and it allocates the whole queue at start, some
//! 25 MB per process for a queue that holds a thousand pods' spans.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};

use super::env::Batch;

/// What became of the ended, sampled spans of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportStats {
    /// Taken by the collector.
    pub exported: u64,
    /// Lost because the queue was full, or ended after shutdown.
    pub dropped: u64,
    /// Lost because the collector did not take them.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    fn read(&self) -> ExportStats {
        ExportStats {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

static PUBLISHED: OnceLock<Arc<Counters>> = OnceLock::new();

/// Makes the counters of the process's queue readable from anywhere; the first queue wins.
pub(super) fn publish(queue: &QueueProcessor) {
    let _ = PUBLISHED.set(Arc::clone(&queue.counters));
}

/// The counters of the process's queue.
pub(super) fn published() -> ExportStats {
    PUBLISHED.get().map(|counters| counters.read()).unwrap_or_default()
}

/// A request to the thread; it acknowledges when it is done.
#[derive(Debug)]
enum Order {
    SetResource(Resource),
    Flush(SyncSender<OTelSdkResult>),
    Shutdown(SyncSender<OTelSdkResult>),
}

/// The SDK's side of the queue.
#[derive(Debug)]
pub(super) struct QueueProcessor {
    spans: mpsc::Sender<SpanData>,
    /// Unbounded, yet short: an order per flush, each waiting for its answer.
    orders: mpsc::UnboundedSender<Order>,
    batch_is_full: Arc<Notify>,
    counters: Arc<Counters>,
    batch: Batch,
}

impl QueueProcessor {
    /// Starts the thread `otlp-export`, which runs `exporter` on `runtime`.
    pub(super) fn start<E>(exporter: E, batch: Batch, runtime: Runtime) -> std::io::Result<Self>
    where
        E: SpanExporter + 'static,
    {
        let (spans, queued) = mpsc::channel(batch.queue);
        let (orders, received) = mpsc::unbounded_channel();
        let batch_is_full = Arc::new(Notify::new());
        let counters = Arc::new(Counters::default());
        let worker = Worker {
            exporter,
            batch,
            spans: queued,
            orders: received,
            batch_is_full: Arc::clone(&batch_is_full),
            counters: Arc::clone(&counters),
            pending: Vec::new(),
            is_failing: false,
        };
        std::thread::Builder::new().name("otlp-export".to_owned()).spawn(move || {
            // Nothing that happens during an export may make spans.
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            runtime.block_on(worker.run());
        })?;
        Ok(Self { spans, orders, batch_is_full, counters, batch })
    }

    fn ask(&self, order: impl FnOnce(SyncSender<OTelSdkResult>) -> Order, timeout: Duration) -> OTelSdkResult {
        let (answer, answered) = sync_channel(1);
        self.orders.send(order(answer)).map_err(|_| OTelSdkError::AlreadyShutdown)?;
        answered.recv_timeout(timeout).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(OTelSdkError::Timeout(timeout)),
            RecvTimeoutError::Disconnected => Err(OTelSdkError::AlreadyShutdown),
        })
    }
}

impl SpanProcessor for QueueProcessor {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.spans.try_send(span).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // The thread sleeps while a batch fills, so that not every span wakes it.
        if self.spans.max_capacity() - self.spans.capacity() >= self.batch.size {
            self.batch_is_full.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.ask(Order::Flush, self.batch.timeout)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.ask(Order::Shutdown, timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // A thread that is gone exports nothing that the resource could describe.
        let _ = self.orders.send(Order::SetResource(resource.clone()));
    }
}

/// The thread's side.
struct Worker<E> {
    exporter: E,
    batch: Batch,
    spans: mpsc::Receiver<SpanData>,
    orders: mpsc::UnboundedReceiver<Order>,
    batch_is_full: Arc<Notify>,
    counters: Arc<Counters>,
    /// Taken out of the channel, not exported yet.
    pending: Vec<SpanData>,
    is_failing: bool,
}

impl<E: SpanExporter> Worker<E> {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => if self.obey(order).await { return },
                    None => return,
                },
                // Wakes up for the first span of a batch, and then not again until the batch is due.
                taken = self.spans.recv_many(&mut self.pending, 1), if self.pending.is_empty() => {
                    if taken == 0 { return }
                }
                () = due(self.batch.delay, &self.batch_is_full), if !self.pending.is_empty() => {
                    // The failure is counted and reported; there is nobody to tell.
                    let _ = self.drain().await;
                }
            }
        }
    }

    /// Answers whether the thread shall end.
    async fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::SetResource(resource) => self.exporter.set_resource(&resource),
            // An asker who no longer waits has got its timeout.
            Order::Flush(answer) => _ = answer.send(self.drain().await),
            Order::Shutdown(answer) => {
                self.spans.close();
                let result = self.drain().await;
                let _ = self.exporter.shutdown();
                let _ = answer.send(result);
                return true;
            }
        }
        false
    }

    /// Exports, batch by batch, what is queued now; what ends meanwhile waits for its own batch.
    async fn drain(&mut self) -> OTelSdkResult {
        let mut left = self.spans.len();
        let mut result = Ok(());
        loop {
            while self.pending.len() < self.batch.size && left > 0 {
                left -= 1;
                self.pending.extend(self.spans.try_recv().ok());
            }
            if self.pending.is_empty() {
                return result;
            }
            let spans = std::mem::take(&mut self.pending);
            if let Err(error) = self.export(spans).await {
                result = Err(error);
                // At shutdown a collector that is away is not tried again for each batch.
                if self.spans.is_closed() {
                    self.counters.failed.fetch_add(left as u64, Ordering::Relaxed);
                    return result;
                }
            }
        }
    }

    async fn export(&mut self, spans: Vec<SpanData>) -> OTelSdkResult {
        let count = spans.len() as u64;
        let result = match tokio::time::timeout(self.batch.timeout, self.exporter.export(spans)).await {
            Ok(result) => result,
            Err(_) => Err(OTelSdkError::Timeout(self.batch.timeout)),
        };
        let counter = if result.is_ok() { &self.counters.exported } else { &self.counters.failed };
        counter.fetch_add(count, Ordering::Relaxed);
        self.report(&result);
        result
    }

    /// Logs when the collector goes away and when it is back, not each batch between.
    fn report(&mut self, result: &OTelSdkResult) {
        match (result, self.is_failing) {
            (Err(error), false) => {
                tracing::warn!(%error, "traces are not exported; spans are dropped until the collector answers");
            }
            (Ok(()), true) => {
                let lost = self.counters.read().failed;
                tracing::info!(lost, "traces are exported again");
            }
            _ => {}
        }
        self.is_failing = result.is_err();
    }
}

/// Ends when a batch is due: it is full, or its first span has waited long enough.
async fn due(delay: Duration, batch_is_full: &Notify) {
    let _ = tokio::time::timeout(delay, batch_is_full.notified()).await;
}

#[cfg(test)]
mod tests;
