//! A listener to talk to, and clients that talk to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use traceplane_service_kit::tls::{CaBundle, Identity};
use traceplane_service_kit::{Connection, Limits, Listener, Shutdown};

use crate::testing::Authority;

/// Long enough for a busy machine; nothing here waits this long when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn bundle(ca: &Authority) -> CaBundle {
    CaBundle::from_pem(ca.pem.as_bytes(), "test CA").unwrap()
}

pub(crate) fn identity(ca: &Authority, common_name: &str, organizations: &[&str]) -> Identity {
    let (certificate, key) = ca.sign(common_name, organizations);
    Identity::from_pem(certificate.as_bytes(), key.as_bytes(), common_name).unwrap()
}

/// A listener that serves.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) ended: tokio::task::JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>, limits: Limits, router: Router) -> Self {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "--secure-port").await.unwrap();
        if let Some(tls) = tls {
            listener = listener.with_tls(tls);
        }
        let address = listener.local_addr();
        let shutdown = Shutdown::new();
        let ended = tokio::spawn(listener.with_limits(limits).serve(router, shutdown.clone()));
        Self { address, shutdown, ended }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        timeout(PATIENCE, self.ended).await.expect("the listener ends").unwrap();
    }
}

/// Answers with what the request's extensions say of the peer.
pub(crate) fn who_am_i() -> Router {
    Router::new().route(
        "/whoami",
        get(async |Extension(connection): Extension<Connection>| match connection.peer {
            Some(peer) => format!("{} {}", peer.common_name, peer.organizations.join(",")),
            None => format!("nobody from {}", connection.remote_addr.ip()),
        }),
    )
}

pub(crate) async fn connect(
    address: SocketAddr,
    mut config: ClientConfig,
    alpn: &[u8],
) -> Result<TlsStream<TcpStream>, Error> {
    config.alpn_protocols = vec![alpn.to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
}

/// One request over HTTP/1.1. With TLS 1.3 a client learns only here that its certificate was refused.
pub(crate) async fn ask(address: SocketAddr, config: Arc<ClientConfig>) -> Result<String, Error> {
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

/// A gRPC channel that connects when it is first used.
pub(crate) fn channel(address: SocketAddr, config: Arc<ClientConfig>) -> Channel {
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(move |_| {
        let config = (*config).clone();
        async move { connect(address, config, b"h2").await.map(TokioIo::new) }
    }))
}
