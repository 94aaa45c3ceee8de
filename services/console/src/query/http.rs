//! The query API as JSON over HTTP, by default on port 16686, as Jaeger's gateway serves it.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query as UrlQuery, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use http::{StatusCode, header};
use serde::Serialize;

use super::{
    Query, QueryError,
    json::Otlp,
    params::{Params, check_trace_hints, find, trace_query},
    summary::summarize,
};
use crate::{
    pb::jaeger::api_v3::{FindTraceSummariesResponse, GetOperationsResponse, GetServicesResponse, Operation},
    store::{InvalidTraceId, Trace, TraceId, kind_name},
};

type Answer = Result<Response, QueryError>;

/// Parameters as far as they can be read; the rejection is answered like every other error.
type Parameters = Result<UrlQuery<Params>, QueryRejection>;

const HERE: &str = "\
This is the traceplane console: it keeps the newest traces and answers for them.

  GET  /api/v3/services
  GET  /api/v3/operations?service=apiserver
  GET  /api/v3/traces/{trace_id}
  GET  /api/v3/traces?query.startTimeMin=2025-01-01T00:00:00Z&query.startTimeMax=2030-01-01T00:00:00Z
  GET  /api/v3/trace-summaries    (parameters as /api/v3/traces)

Spans come in by OTLP (gRPC, or POST /v1/traces). The API is Jaeger's; docs/console.md describes it.
";

impl Query {
    /// The HTTP routes.
    pub fn http(self) -> Router {
        Router::new()
            .route("/", get(HERE))
            .route("/api/v3/traces/{trace_id}", get(get_trace))
            .route("/api/v3/traces", get(find_traces))
            .route("/api/v3/trace-summaries", get(find_summaries))
            .route("/api/v3/services", get(services))
            .route("/api/v3/operations", get(operations))
            .with_state(self)
    }
}

async fn get_trace(State(query): State<Query>, Path(id): Path<String>, params: Parameters) -> Answer {
    check_trace_hints(&read(params)?)?;
    let id: TraceId = id.parse().map_err(|error: InvalidTraceId| {
        QueryError::Invalid(format!("malformed parameter trace_id: {error}, not {id:?}"))
    })?;
    traces(query.store.get(id).into_iter().collect())
}

async fn find_traces(State(query): State<Query>, params: Parameters) -> Answer {
    let question = trace_query(&read(params)?)?;
    traces(query.ask(move |store| store.find(&question)).await)
}

async fn find_summaries(State(query): State<Query>, params: Parameters) -> Answer {
    let question = trace_query(&read(params)?)?;
    let summaries = query
        .ask(move |store| {
            let traces = store.find(&question);
            traces.iter().map(|trace| summarize(trace)).collect()
        })
        .await;
    Ok(Json(FindTraceSummariesResponse { summaries }).into_response())
}

async fn services(State(query): State<Query>) -> Answer {
    let services = query.store.services();
    Ok(Json(GetServicesResponse { services }).into_response())
}

async fn operations(State(query): State<Query>, params: Parameters) -> Answer {
    let params = read(params)?;
    let kind = find(&params, "spanKind", "span_kind").map(|(_, kind)| kind.to_owned());
    let Some((_, service)) = find(&params, "service", "service") else {
        return Err(QueryError::Invalid("service is required".to_owned()));
    };
    let service = service.to_owned();
    let mut operations = query.operations(service, kind).await?;
    for operation in &mut operations {
        if operation.span_kind.is_empty() {
            operation.span_kind = "internal".to_owned();
        }
    }
    Ok(Json(GetOperationsResponse { operations }).into_response())
}

/// All traces in one envelope, `{"result":{"resourceSpans":[...]}}`, written piece by piece as the client takes them.
fn traces(traces: Vec<Arc<Trace>>) -> Answer {
    if traces.is_empty() {
        return Err(QueryError::NotFound("No traces found"));
    }
    let mut separator = "";
    let parts = traces.into_iter().flat_map(Trace::parts).map(move |part| {
        let mut json = Vec::new();
        for spans in &part.resource_spans {
            json.extend_from_slice(separator.as_bytes());
            serde_json::to_writer(&mut json, &Otlp(spans)).expect("spans have a JSON form");
            separator = ",";
        }
        Bytes::from(json)
    });
    let opening = std::iter::once(Bytes::from_static(br#"{"result":{"resourceSpans":["#));
    let closing = std::iter::once(Bytes::from_static(b"]}}"));
    let pieces = opening.chain(parts).chain(closing);
    let body = Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn read(params: Parameters) -> Result<Params, QueryError> {
    match params {
        Ok(UrlQuery(params)) => Ok(params),
        Err(rejection) => Err(QueryError::Invalid(rejection.body_text())),
    }
}

impl Query {
    /// The operations of a service, of one kind of span or (`None`) of all. Shared with gRPC.
    pub(super) async fn operations(&self, service: String, kind: Option<String>) -> Result<Vec<Operation>, QueryError> {
        let wanted = kind.map(|kind| {
            crate::store::kind_named(&kind).ok_or_else(|| {
                QueryError::Invalid(format!(
                    "malformed parameter spanKind: takes server, client, producer, consumer or internal, not {kind:?}"
                ))
            })
        });
        let wanted = wanted.transpose()?.map(|kind| kind as i32);
        let operations = self.ask(move |store| store.operations(&service)).await;
        Ok(operations
            .into_iter()
            .filter(|(_, kind)| wanted.is_none_or(|wanted| *kind == wanted))
            .map(|(name, kind)| Operation { name, span_kind: kind_name(kind).to_owned() })
            .collect())
    }
}

/// An error as Jaeger's gateway writes it.
#[derive(Serialize)]
struct ErrorBody {
    error: ErrorDetails,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorDetails {
    http_code: u16,
    message: String,
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        let status = match &self {
            QueryError::Invalid(_) => StatusCode::BAD_REQUEST,
            QueryError::NotFound(_) => StatusCode::NOT_FOUND,
        };
        let error = ErrorDetails { http_code: status.as_u16(), message: self.to_string() };
        (status, Json(ErrorBody { error })).into_response()
    }
}
