//! A connection to one kubelet, for one stream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use api::Reason;
use api::core::v1::Node;
use axum::body::Body;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use service_kit::tls::{CaBundle, Identity, client_config_for_subject};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::address::{self, Address, is_kubelet_of};

/// For TCP and the TLS handshake together: `--kubelet-timeout` of Kubernetes' apiserver.
const DIAL: Duration = Duration::from_secs(5);
/// An idle stream lives as long as the kubelet answers pings.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// What may wait here for a client that reads slowly.
const WINDOW: u32 = 1 << 20;

/// How kubelets are reached, and as whom. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Kubelets(Option<Arc<Access>>);

#[derive(Debug)]
struct Access {
    identity: Identity,
    ca: CaBundle,
    preferred: Vec<String>,
}

/// A connection that is ready for its one request. It is closed when `open` is dropped.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Body>,
    pub(super) authority: String,
    pub(super) open: AbortOnDropHandle<()>,
}

impl Kubelets {
    /// Shows kubelets this identity and believes those of this authority; `preferred` are types of node addresses.
    pub fn new(identity: Identity, ca: CaBundle, preferred: Vec<String>) -> Self {
        Self(Some(Arc::new(Access { identity, ca, preferred })))
    }

    /// Connects to the kubelet of a node.
    pub(super) async fn dial(&self, node: &Node) -> api::Result<Connection> {
        let Some(access) = &self.0 else {
            return Err(api::Error::unavailable(
                "this apiserver was not told how to reach kubelets: start it with --kubelet-client-certificate, \
                 --kubelet-client-key and --kubelet-certificate-authority (`tpctl pki` makes the files)",
            ));
        };
        let name = node.metadata.name.clone();
        let address = address::of(node, &access.preferred)?;
        let is_meant = move |peer: &_| is_kubelet_of(&name, peer);
        let tls = TlsConnector::from(client_config_for_subject(&access.identity, &access.ca, is_meant));
        match timeout(DIAL, connect(&address, &tls)).await {
            Ok(connected) => connected,
            Err(_) => Err(failed(&address, "i/o timeout")),
        }
    }
}

async fn connect(address: &Address, tls: &TlsConnector) -> api::Result<Connection> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => failed(address, "connect: connection refused"),
        _ => failed(address, &error.to_string()),
    };
    let name = ServerName::try_from(address.host.clone()).map_err(|_| failed(address, "no such host"))?;
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(refused)?;
    tcp.set_nodelay(true).map_err(refused)?;
    let stream = tls.connect(name, tcp).await.map_err(refused)?;
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWERED_WITHIN)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let handshake = http.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| failed(address, &error.to_string()))?;
    let open = AbortOnDropHandle::new(tokio::spawn(async move {
        // Whoever reads the stream learns of it there.
        if let Err(error) = connection.await {
            debug!(%error, "a connection to a kubelet ended");
        }
    }));
    Ok(Connection { sender, authority: format!("{}:{}", address.host, address.port), open })
}

/// In Kubernetes' words, which are Go's.
fn failed(address: &Address, why: &str) -> api::Error {
    let Address { host, port } = address;
    api::Error::new(Reason::Unknown, format!("error dialing backend: dial tcp {host}:{port}: {why}"))
}
