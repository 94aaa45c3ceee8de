//! The wiring: four ports around one store.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use service_kit::{
    Health, Listener, Metrics, OnFailure, Shutdown, Supervisor,
    listener::BindError,
    supervisor::{SupervisorError, TaskError},
};
use tonic::service::Routes;
use tracing::info;

use crate::{config::Config, metrics::ReceiverMetrics, otlp::Receiver, pb, query::Query, store::TraceStore};

/// Longer than a listener drains (5 s), so that it is the listener that cuts connections off, and shorter than `run` waits (7 s).
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// A console that serves.
#[derive(Debug)]
pub struct Handle {
    /// Where it can be reached.
    pub addresses: Addresses,
    tasks: Supervisor,
}

/// The bound addresses; with port 0 asked for, the ports that the system chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// Queries over gRPC.
    pub query_grpc: SocketAddr,
    /// Queries over HTTP, health and metrics.
    pub query_http: SocketAddr,
}

/// Serves from start to shutdown: the whole life of the process.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), TaskError> {
    let console = serve(&config, &shutdown).await?;
    let at = console.addresses;
    info!(
        otlp_grpc = %at.otlp_grpc,
        otlp_http = %at.otlp_http,
        query_grpc = %at.query_grpc,
        query_http = %at.query_http,
        "ready"
    );
    Ok(console.stopped().await?)
}

/// Takes all ports, then serves until `shutdown` is triggered. Either all ports are served or none is.
pub async fn serve(config: &Config, shutdown: &Shutdown) -> Result<Handle, BindError> {
    let bind = |port, flag| Listener::bind(SocketAddr::new(config.bind_address, port), flag);
    let otlp_grpc = bind(config.otlp_grpc_port, "--otlp-grpc-port").await?;
    let otlp_http = bind(config.otlp_http_port, "--otlp-http-port").await?;
    let query_grpc = bind(config.query_grpc_port, "--query-grpc-port").await?;
    let query_http = bind(config.query_http_port, "--query-http-port").await?;
    let addresses = Addresses {
        otlp_grpc: otlp_grpc.local_addr(),
        otlp_http: otlp_http.local_addr(),
        query_grpc: query_grpc.local_addr(),
        query_http: query_http.local_addr(),
    };

    let store = Arc::new(TraceStore::new(config.limits()));
    let health = Health::new();
    health.not_ready_after(shutdown);
    let metrics = Metrics::new("console");
    let receiver_metrics = ReceiverMetrics::register(&metrics, &store);
    let receiver = Receiver::new(store.clone(), receiver_metrics, config.max_request_bytes);
    let query = Query::new(store);

    let query_grpc_routes = Routes::new(query.clone().grpc()).add_service(reflection());
    let query_http_routes = query.http().merge(health.router()).merge(metrics.router());
    let tasks = Supervisor::new(shutdown);
    for (name, listener, routes) in [
        ("OTLP over gRPC", otlp_grpc, Routes::new(receiver.clone().grpc()).into_axum_router()),
        ("OTLP over HTTP", otlp_http, receiver.http()),
        ("queries over gRPC", query_grpc, query_grpc_routes.into_axum_router()),
        ("queries over HTTP", query_http, query_http_routes),
    ] {
        tasks.spawn(name, OnFailure::StopService, listener.serve(routes, shutdown.clone()));
    }
    Ok(Handle { addresses, tasks })
}

impl Handle {
    /// Returns when shutdown was triggered and all requests have ended; requests that do not end are cut off.
    pub async fn stopped(self) -> Result<(), SupervisorError> {
        self.tasks.wait(STOP_WITHIN).await
    }
}

/// Lets clients without our proto files (grpcurl) ask for the messages.
fn reflection() -> impl tonic::codegen::Service<
    http::Request<tonic::body::Body>,
    Response = http::Response<tonic::body::Body>,
    Error = std::convert::Infallible,
    Future: Send,
> + tonic::server::NamedService
+ Clone
+ Send
+ Sync {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .build_v1()
        .expect("the descriptors were compiled with this program")
}
