//! The listener over real sockets: who gets through TLS, what requests know of their peer, and how it ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use traceplane_service_kit::listener::BindError;
use traceplane_service_kit::tls::{CaBundle, ClientAuth, Identity, client_config, server_config};
use traceplane_service_kit::{Connection, Limits, Listener, Shutdown};

#[path = "../src/tls/testing.rs"]
mod testing;
use testing::Authority;

/// Long enough for a busy machine; nothing here waits this long when it works.
const PATIENCE: Duration = Duration::from_secs(30);

type Error = Box<dyn std::error::Error + Send + Sync>;

fn bundle(ca: &Authority) -> CaBundle {
    CaBundle::from_pem(ca.pem.as_bytes(), "test CA").unwrap()
}

fn identity(ca: &Authority, common_name: &str, organizations: &[&str]) -> Identity {
    let (certificate, key) = ca.sign(common_name, organizations);
    Identity::from_pem(certificate.as_bytes(), key.as_bytes(), common_name).unwrap()
}

struct Served {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(tls: Option<Arc<ServerConfig>>, limits: Limits, router: Router) -> Self {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "--secure-port").await.unwrap();
        if let Some(tls) = tls {
            listener = listener.with_tls(tls);
        }
        let address = listener.local_addr();
        let shutdown = Shutdown::new();
        let ended = tokio::spawn(listener.with_limits(limits).serve(router, shutdown.clone()));
        Self { address, shutdown, ended }
    }

    async fn stop(self) {
        self.shutdown.trigger();
        timeout(PATIENCE, self.ended).await.expect("the listener ends").unwrap();
    }
}

/// Answers with what the request's extensions say of the peer.
fn who_am_i() -> Router {
    Router::new().route(
        "/whoami",
        get(async |Extension(connection): Extension<Connection>| match connection.peer {
            Some(peer) => format!("{} {}", peer.common_name, peer.organizations.join(",")),
            None => format!("nobody from {}", connection.remote_addr.ip()),
        }),
    )
}

async fn connect(address: SocketAddr, mut config: ClientConfig, alpn: &[u8]) -> Result<TlsStream<TcpStream>, Error> {
    config.alpn_protocols = vec![alpn.to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
}

/// One request over HTTP/1.1. With TLS 1.3 a client learns only here that its certificate was refused.
async fn ask(address: SocketAddr, config: Arc<ClientConfig>) -> Result<String, Error> {
    let stream = connect(address, (*config).clone(), b"http/1.1").await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/whoami").header("host", "localhost").body(Empty::<Bytes>::new())?;
    let answer = match sender.send_request(request).await {
        Ok(answer) => answer,
        Err(error) => {
            connection.await??;
            return Err(error.into());
        }
    };
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

#[tokio::test]
async fn a_peer_is_known_by_its_certificate_on_both_http_versions() {
    let ca = Authority::new("ca");
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::Required(&bundle(&ca)));
    let served = Served::start(Some(tls), Limits::default(), who_am_i()).await;
    let config = client_config(Some(&identity(&ca, "system:node:n1", &["system:nodes"])), &bundle(&ca));
    assert_eq!(ask(served.address, config.clone()).await.unwrap(), "system:node:n1 system:nodes");

    let stream = connect(served.address, (*config).clone(), b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/whoami").body(Empty::<Bytes>::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "system:node:n1 system:nodes");
    drop(sender);
    served.stop().await;
}

#[tokio::test]
async fn certificates_are_demanded_as_configured() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let (ours, theirs) = (identity(&ca, "me", &[]), identity(&other, "me", &[]));
    let (server, believed) = (identity(&ca, "apiserver", &[]), bundle(&ca));
    let nobody = "nobody from 127.0.0.1";
    for (demand, client, expected) in [
        (ClientAuth::Required(&believed), Some(&ours), Some("me ")),
        (ClientAuth::Required(&believed), None, None),
        (ClientAuth::Required(&believed), Some(&theirs), None),
        (ClientAuth::Optional(&believed), Some(&ours), Some("me ")),
        (ClientAuth::Optional(&believed), None, Some(nobody)),
        (ClientAuth::Optional(&believed), Some(&theirs), None),
        (ClientAuth::None, None, Some(nobody)),
    ] {
        let served = Served::start(Some(server_config(&server, demand)), Limits::default(), who_am_i()).await;
        let answer = ask(served.address, client_config(client, &believed)).await;
        assert_eq!(answer.as_deref().ok(), expected, "{demand:?}: {answer:?}");
        served.stop().await;
    }
}

#[tokio::test]
async fn a_client_refuses_a_server_of_another_authority() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let tls = server_config(&identity(&other, "apiserver", &[]), ClientAuth::None);
    let served = Served::start(Some(tls), Limits::default(), who_am_i()).await;
    let error = ask(served.address, client_config(None, &bundle(&ca))).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    served.stop().await;
}

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
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let ca = Authority::new("ca");
    let (_reporter, service) = tonic_health::server::health_reporter();
    let router = tonic::service::Routes::new(service).into_axum_router().merge(who_am_i());
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::Required(&bundle(&ca)));
    let served = Served::start(Some(tls), Limits::default(), router).await;

    let config = client_config(Some(&identity(&ca, "me", &[])), &bundle(&ca));
    assert_eq!(ask(served.address, config.clone()).await.unwrap(), "me ");
    let address = served.address;
    let channel = tonic::transport::Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_| {
            let config = config.clone();
            async move { connect(address, (*config).clone(), b"h2").await.map(TokioIo::new) }
        }))
        .await
        .unwrap();
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
