//! Puts every read and write of a store into a span, and makes that span the cause of what is written.
//!
//! A write's cause is the context of its own `etcd txn` span, so that the effects of a commit hang under the commit
//! (TRACES 1). Where nothing is recorded (heartbeats, unsampled traces) there is no span, and the cause is whatever
//! context is current. Watches, barriers and health checks make no spans: nobody's request waits for them alone.

use std::future::Future;

use async_trait::async_trait;
use bytes::Bytes;
use telemetry::TraceContext;
use telemetry::span::{Side, SpanExt, store as spans};
use tonic::Code;
use tracing::{Instrument, Span};

use crate::{Entry, Error, ListOptions, Listing, Result, Revision, Store, WatchStream, WriteContext};

/// A [`Store`] whose calls are spans.
#[derive(Clone, Debug)]
pub struct Traced<S>(S);

impl<S: Store> Traced<S> {
    /// Traces the calls to `store`.
    pub fn new(store: S) -> Self {
        Self(store)
    }

    /// Runs one write in its span. `write` is given the context to record as the cause.
    async fn txn<F>(&self, key: &str, context: &WriteContext, write: impl FnOnce(WriteContext) -> F) -> Result<Revision>
    where
        F: Future<Output = Result<Revision>>,
    {
        let span = spans::txn(key);
        // Inside the span, so that the cause is the span and its commit time is not before the span's start.
        let committed = async { write(caused_here(context)).await }.instrument(span.clone()).await;
        match &committed {
            Ok(revision) => spans::committed(&span, context.step, revision.get()),
            Err(error) => {
                // If it was committed after all, its effects hang on this span.
                if matches!(error, Error::Unavailable { in_doubt: true, .. }) {
                    span.step(context.step);
                }
                record(&span, error);
            }
        }
        committed
    }

    async fn range<T>(&self, prefix: &str, read: impl Future<Output = Result<T>>) -> Result<T> {
        let span = spans::range(prefix);
        let answer = read.instrument(span.clone()).await;
        if let Err(error) = &answer {
            record(&span, error);
        }
        answer
    }
}

/// The context that is current here, or the caller's where there is none.
fn caused_here(context: &WriteContext) -> WriteContext {
    let current = TraceContext::current();
    let origin = if current.is_valid() { current } else { context.origin.clone() };
    WriteContext { origin, step: context.step }
}

fn record(span: &Span, error: &Error) {
    let (code, reason) = match error {
        Error::NotFound { .. } => (Code::NotFound, "NotFound"),
        Error::AlreadyExists { .. } => (Code::AlreadyExists, "AlreadyExists"),
        Error::Conflict { .. } => (Code::Aborted, "Conflict"),
        Error::Compacted { .. } => (Code::OutOfRange, "Expired"),
        Error::FutureRevision { .. } => (Code::OutOfRange, "FutureRevision"),
        Error::TooLarge { .. } => (Code::ResourceExhausted, "RequestEntityTooLarge"),
        Error::Unavailable { .. } => (Code::Unavailable, "ServiceUnavailable"),
        Error::Internal(_) => (Code::Internal, "InternalError"),
    };
    span.outcome(Side::Client, code, reason, &error.to_string());
}

#[async_trait]
impl<S: Store> Store for Traced<S> {
    fn root(&self) -> &str {
        self.0.root()
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.range(key, self.0.get(key)).await
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Listing> {
        self.range(prefix, self.0.list(prefix, options)).await
    }

    async fn create(&self, key: &str, value: Bytes, context: &WriteContext) -> Result<Revision> {
        self.txn(key, context, |context| async move { self.0.create(key, value, &context).await }).await
    }

    async fn update(&self, key: &str, expected: Revision, value: Bytes, context: &WriteContext) -> Result<Revision> {
        self.txn(key, context, |context| async move { self.0.update(key, expected, value, &context).await }).await
    }

    async fn delete(&self, key: &str, expected: Revision, context: &WriteContext) -> Result<Revision> {
        self.txn(key, context, |context| async move { self.0.delete(key, expected, &context).await }).await
    }

    async fn watch(&self, after: Revision) -> Result<WatchStream> {
        self.0.watch(after).await
    }

    async fn current_revision(&self) -> Result<Revision> {
        self.0.current_revision().await
    }

    async fn barrier(&self) -> Result<Revision> {
        self.0.barrier().await
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.0.compact(revision).await
    }

    async fn ping(&self) -> Result<()> {
        self.0.ping().await
    }
}
