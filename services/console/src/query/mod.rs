//! Jaeger's query API out: `jaeger.api_v3.QueryService` over gRPC, and the same over HTTP as JSON under `/api/v3`.
//!
//! Both transports translate to one [`TraceQuery`](crate::store::TraceQuery) and answer from the store. Answers with spans are
//! streamed: at any time only one part of one trace is decoded.

mod dependencies;
mod grpc;
mod http;
pub(crate) mod json;
mod params;
mod summary;

use std::sync::Arc;

use crate::store::{TraceQuery, TraceStore};

/// Answers questions from the store.
#[derive(Debug, Clone)]
pub struct Query {
    store: Arc<TraceStore>,
}

/// Why a question has no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// The question is wrong; the message names the parameter.
    #[error("{0}")]
    Invalid(String),
    /// Nothing of what was asked for is held.
    #[error("{0}")]
    NotFound(&'static str),
}

impl Query {
    /// Answers from this store.
    pub fn new(store: Arc<TraceStore>) -> Query {
        Query { store }
    }

    /// Runs a search beside the async workers: it may read every held span.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&TraceStore) -> T + Send + 'static) -> T {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || question(&store)).await.expect("a search does not panic")
    }
}

/// The checks that hold for both transports.
fn check(query: TraceQuery) -> Result<TraceQuery, QueryError> {
    if query.start_min >= query.start_max {
        return Err(QueryError::Invalid("query.startTimeMin must be before query.startTimeMax".to_owned()));
    }
    Ok(query)
}
