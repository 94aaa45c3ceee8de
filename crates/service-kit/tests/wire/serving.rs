//! Taking a port, what it carries, and how it ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use traceplane_service_kit::listener::BindError;
use traceplane_service_kit::tls::{ClientAuth, client_config, server_config};
use traceplane_service_kit::{Limits, Listener, Shutdown};

use crate::support::{PATIENCE, Served, ask, bundle, channel, identity, who_am_i};
use crate::testing::Authority;

#[tokio::test]
async fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let any = "127.0.0.1:0".parse().unwrap();
    let first = Listener::bind(any, "--secure-port").await.unwrap();
    let address = first.local_addr();
    let error = Listener::bind(address, "--secure-port").await.err().expect("the port is taken");
    assert!(matches!(error, BindError::InUse { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "port {} is in use on 127.0.0.1: stop the process that has it, or choose another with --secure-port",
            address.port()
        )
    );
    let elsewhere = Listener::bind("192.0.2.1:0".parse().unwrap(), "--secure-port").await.err();
    assert!(matches!(elsewhere, Some(BindError::NotLocal { .. })));
}

#[tokio::test]
async fn grpc_and_plain_routes_share_the_port() {
    let ca = Authority::new("ca");
    let (_reporter, service) = tonic_health::server::health_reporter();
    let router = tonic::service::Routes::new(service).into_axum_router().merge(who_am_i());
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::Required(&bundle(&ca)));
    let served = Served::start(Some(tls), Limits::default(), router).await;

    let config = client_config(Some(&identity(&ca, "me", &[])), &bundle(&ca));
    assert_eq!(ask(served.address, config.clone()).await.unwrap(), "me ");
    let channel = channel(served.address, config);
    let status = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(status.into_inner().status, 1);
    served.stop().await;
}

#[tokio::test]
async fn http1_upgrades_pass_through() {
    let echo = get(async |mut request: Request<Body>| {
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
        let switching = http::Response::builder().status(101).header("upgrade", "echo").header("connection", "upgrade");
        Ok::<_, Infallible>(switching.body(Body::empty()).unwrap())
    });
    let served = Served::start(None, Limits::default(), Router::new().route("/echo", echo)).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream.write_all(b"marco").await.unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"marco");
    drop(stream);
    served.stop().await;
}

/// A request that is answered when the test says so.
fn held(release: Shutdown, reached: Shutdown) -> Router {
    let answer = get(async move || {
        reached.trigger();
        release.triggered().await;
        "done"
    });
    Router::new().route("/whoami", answer)
}

#[tokio::test]
async fn a_running_request_is_finished_after_shutdown_and_the_port_is_free_at_once() {
    let ca = Authority::new("ca");
    let (release, reached) = (Shutdown::new(), Shutdown::new());
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::None);
    let served = Served::start(
        Some(tls),
        Limits { drain: PATIENCE, ..Limits::default() },
        held(release.clone(), reached.clone()),
    )
    .await;
    let request = tokio::spawn(ask(served.address, client_config(None, &bundle(&ca))));
    reached.triggered().await;
    served.shutdown.trigger();
    let successor = timeout(PATIENCE, async {
        loop {
            match Listener::bind(served.address, "--secure-port").await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    assert_eq!(successor.await.expect("the port is free").local_addr(), served.address);
    assert!(!served.ended.is_finished());
    release.trigger();
    assert_eq!(request.await.unwrap().unwrap(), "done");
    served.stop().await;
}

#[tokio::test]
async fn what_does_not_finish_within_the_drain_is_cut_off() {
    let (never, reached) = (Shutdown::new(), Shutdown::new());
    let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
    let served = Served::start(None, limits, held(never, reached.clone())).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    reached.triggered().await;
    served.stop().await;
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection is closed");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_dropped() {
    let ca = Authority::new("ca");
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::None);
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let served = Served::start(Some(tls), limits, who_am_i()).await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    let read = timeout(PATIENCE, silent.read(&mut [0; 1])).await.expect("the server gives up first");
    assert_eq!(read.unwrap(), 0);
    served.stop().await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_free_place() {
    let ca = Authority::new("ca");
    let (release, reached) = (Shutdown::new(), Shutdown::new());
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::None);
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let served = Served::start(Some(tls), limits, held(release.clone(), reached.clone())).await;
    let config = client_config(None, &bundle(&ca));
    let first = tokio::spawn(ask(served.address, config.clone()));
    reached.triggered().await;
    let second = ask(served.address, config.clone());
    let mut second = std::pin::pin!(second);
    assert!(timeout(Duration::from_millis(100), second.as_mut()).await.is_err(), "there is no place yet");
    release.trigger();
    assert_eq!(first.await.unwrap().unwrap(), "done");
    assert_eq!(timeout(PATIENCE, second).await.expect("its turn comes").unwrap(), "done");
    served.stop().await;
}
