//! What a gRPC client is told: the server's own errors unchanged, and the transport's with the server's name and a fix.

use std::net::SocketAddr;
use std::sync::Arc;

use api::{Error, Reason};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use rustls::ClientConfig;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use traceplane_service_kit::rpc_status::{from_status, to_status};
use traceplane_service_kit::tls::{ClientAuth, client_config, server_config};
use traceplane_service_kit::{Limits, Listener};

use crate::support::{Served, bundle, channel, identity};
use crate::testing::Authority;

/// The error of a call to any gRPC method.
async fn call(address: SocketAddr, config: Arc<ClientConfig>) -> Error {
    let mut client = HealthClient::new(channel(address, config));
    let status = client.check(HealthCheckRequest::default()).await.expect_err("every call here fails");
    from_status(&status, "apiserver at https://localhost:6443")
}

#[tokio::test]
async fn an_error_of_the_server_arrives_as_it_was_sent() {
    let ca = Authority::new("ca");
    let error = Error::conflict("apps", "deployments", "web", "it was modified").retry_after(3);
    let answer = error.clone();
    let router =
        Router::new().route("/grpc.health.v1.Health/Check", post(async move || to_status(&answer).into_http::<Body>()));
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::None);
    let served = Served::start(Some(tls), Limits::default(), router).await;
    assert_eq!(call(served.address, client_config(None, &bundle(&ca))).await, error);
    served.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_run_is_named() {
    let ca = Authority::new("ca");
    let free = Listener::bind("127.0.0.1:0".parse().unwrap(), "--secure-port").await.unwrap().local_addr();
    let error = call(free, client_config(None, &bundle(&ca))).await;
    assert_eq!(error.reason, Reason::ServiceUnavailable);
    assert_eq!(
        error.message,
        "cannot reach apiserver at https://localhost:6443 (Connection refused (os error 111)): check that it runs, and the \
         server's address in the kubeconfig"
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_told_from_a_server_that_is_away() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let (ours, theirs) = (identity(&ca, "me", &[]), identity(&other, "me", &[]));
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::Required(&bundle(&ca)));
    let served = Served::start(Some(tls), Limits::default(), Router::new()).await;
    for (client, believed, reason, part) in [
        (Some(&ours), &other, Reason::ServiceUnavailable, "cannot trust apiserver at https://localhost:6443"),
        (None, &ca, Reason::Unauthorized, "does not accept this client's certificate"),
        (Some(&theirs), &ca, Reason::Unauthorized, "does not accept this client's certificate"),
    ] {
        let error = call(served.address, client_config(client, &bundle(believed))).await;
        assert_eq!(error.reason, reason, "{error}");
        assert!(error.message.contains(part), "{error}");
    }
    served.stop().await;
}
