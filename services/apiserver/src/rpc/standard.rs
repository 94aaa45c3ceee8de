//! The services that gRPC itself defines: health and reflection.

use axum::Router;
use service_kit::{Health, Shutdown};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder;

/// How often the health service looks at the checks. Its watchers learn of a change this late.
const LOOK: Duration = Duration::from_secs(1);

/// `grpc.health.v1.Health` for the server as a whole (the empty service name), and the task that keeps it up to date.
pub fn grpc_health(health: Health, shutdown: Shutdown) -> (Router, impl Future<Output = ()> + Send) {
    let (reporter, service) = health_reporter();
    (route(service), report(reporter, health, shutdown))
}

async fn report(reporter: HealthReporter, health: Health, shutdown: Shutdown) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_triggered(ticks.tick()).await.is_some() {
        let status = if health.is_ready().await { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("", status).await;
    }
    reporter.set_service_status("", ServingStatus::NotServing).await;
}

/// `grpc.reflection.v1` and `v1alpha`, which older tools ask for. They describe every service, so that `grpcurl` needs no proto files.
pub fn reflection() -> Router {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder().build_v1().expect("the descriptors were made by our own build");
    let v1alpha = builder().build_v1alpha().expect("the descriptors were made by our own build");
    route(v1).merge(route(v1alpha))
}

/// The routes of a tonic service.
fn route<S>(service: S) -> Router
where
    S: Service<
            http::Request<axum::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    Router::new().route_service(&format!("/{}/{{*method}}", S::NAME), service)
}
