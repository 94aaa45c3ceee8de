//! The query API over gRPC, by default on port 16685.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost_types::{Duration, Timestamp};
use tonic::{Request, Response, Status};

use super::{Query, QueryError, check, dependencies::dependencies, params::DEFAULT_LIMIT, summary::summarize};
use crate::{
    pb::jaeger::api_v3::{
        DependenciesResponse, FindTraceSummariesRequest, FindTraceSummariesResponse, FindTracesRequest,
        GetDependenciesRequest, GetOperationsRequest, GetOperationsResponse, GetServicesRequest, GetServicesResponse,
        GetTraceRequest, TraceQueryParameters,
        query_service_server::{QueryService, QueryServiceServer},
    },
    store::{AttributeMatch, InvalidTraceId, Trace, TraceId, TraceQuery},
};

/// How many summaries go into one message.
const SUMMARIES_PER_MESSAGE: usize = 100;

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

impl Query {
    /// The gRPC service.
    pub fn grpc(self) -> QueryServiceServer<Query> {
        QueryServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl QueryService for Query {
    type GetTraceStream = Stream<TracesData>;
    type FindTracesStream = Stream<TracesData>;
    type FindTraceSummariesStream = Stream<FindTraceSummariesResponse>;

    async fn get_trace(&self, request: Request<GetTraceRequest>) -> Answer<Self::GetTraceStream> {
        let id: TraceId = request
            .into_inner()
            .trace_id
            .parse()
            .map_err(|error: InvalidTraceId| QueryError::Invalid(format!("malformed trace_id: {error}")))?;
        let trace = self.store.get(id).ok_or(QueryError::NotFound("trace not found"))?;
        Ok(Response::new(parts(vec![trace])))
    }

    async fn find_traces(&self, request: Request<FindTracesRequest>) -> Answer<Self::FindTracesStream> {
        let question = trace_query(request.into_inner().query)?;
        let traces = self.ask(move |store| store.find(&question)).await;
        Ok(Response::new(parts(traces)))
    }

    async fn get_services(&self, _: Request<GetServicesRequest>) -> Answer<GetServicesResponse> {
        let services = self.store.services();
        Ok(Response::new(GetServicesResponse { services }))
    }

    async fn get_operations(&self, request: Request<GetOperationsRequest>) -> Answer<GetOperationsResponse> {
        let GetOperationsRequest { service, span_kind } = request.into_inner();
        if service.is_empty() {
            return Err(QueryError::Invalid("service is required".to_owned()).into());
        }
        let kind = Some(span_kind).filter(|kind| !kind.is_empty());
        let operations = self.operations(service, kind).await?;
        Ok(Response::new(GetOperationsResponse { operations }))
    }

    async fn get_dependencies(&self, request: Request<GetDependenciesRequest>) -> Answer<DependenciesResponse> {
        let GetDependenciesRequest { start_time, end_time } = request.into_inner();
        let start = required_time("start_time", start_time)?;
        let end = required_time("end_time", end_time)?;
        if start >= end {
            return Err(QueryError::Invalid("end_time must be after start_time".to_owned()).into());
        }
        let dependencies = self.ask(move |store| dependencies(&store.between(start, end))).await;
        Ok(Response::new(DependenciesResponse { dependencies }))
    }

    async fn find_trace_summaries(
        &self,
        request: Request<FindTraceSummariesRequest>,
    ) -> Answer<Self::FindTraceSummariesStream> {
        let question = trace_query(request.into_inner().query)?;
        let messages = self
            .ask(move |store| {
                let traces = store.find(&question);
                let message = |traces: &[Arc<Trace>]| FindTraceSummariesResponse {
                    summaries: traces.iter().map(|trace| summarize(trace)).collect(),
                };
                traces.chunks(SUMMARIES_PER_MESSAGE).map(message).collect::<Vec<_>>()
            })
            .await;
        Ok(Response::new(stream::iter(messages).map(Ok).boxed()))
    }
}

fn parts(traces: Vec<Arc<Trace>>) -> Stream<TracesData> {
    stream::iter(traces.into_iter().flat_map(Trace::parts)).map(Ok).boxed()
}

fn trace_query(params: Option<TraceQueryParameters>) -> Result<TraceQuery, QueryError> {
    let params = params.ok_or_else(|| QueryError::Invalid("query is required".to_owned()))?;
    if params.filter.is_some() {
        return Err(QueryError::Invalid("filter is not supported; use attributes".to_owned()));
    }
    let attributes = params.attributes.iter().map(|(key, value)| AttributeMatch::parse(key, value));
    check(TraceQuery {
        service: params.service_name,
        operation: params.operation_name,
        attributes: attributes.collect::<Result<_, _>>().map_err(QueryError::Invalid)?,
        start_min: required_time("start_time_min", params.start_time_min)?,
        start_max: required_time("start_time_max", params.start_time_max)?,
        duration_min: duration("duration_min", params.duration_min)?,
        duration_max: duration("duration_max", params.duration_max)?,
        // Unset and 0 are one on the wire, so both mean the default, and so do negative numbers (as in Jaeger).
        limit: usize::try_from(params.search_depth).ok().filter(|depth| *depth > 0).unwrap_or(DEFAULT_LIMIT),
    })
}

fn required_time(name: &str, time: Option<Timestamp>) -> Result<u64, QueryError> {
    let time = time.ok_or_else(|| QueryError::Invalid(format!("{name} is required")))?;
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    // Before 1970 there are no spans, and after 2554 none that OTLP can express.
    Ok(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

fn duration(name: &str, duration: Option<Duration>) -> Result<Option<u64>, QueryError> {
    let nanos = |duration: Duration| {
        let nanos = i128::from(duration.seconds) * 1_000_000_000 + i128::from(duration.nanos);
        u64::try_from(nanos).map_err(|_| QueryError::Invalid(format!("{name} must not be negative")))
    };
    // Zero is no bound (as in Jaeger): some clients always send the field.
    Ok(duration.map(nanos).transpose()?.filter(|nanos| *nanos > 0))
}

impl From<QueryError> for Status {
    fn from(error: QueryError) -> Status {
        match &error {
            QueryError::Invalid(message) => Status::invalid_argument(message),
            QueryError::NotFound(message) => Status::not_found(*message),
        }
    }
}
