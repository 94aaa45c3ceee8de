//! The one port of a component: TLS, HTTP/1.1 and HTTP/2, gRPC and plain routes behind it.
//!
//! ```text
//! bind -> accept -> (TLS handshake) -> HTTP/1.1 or HTTP/2 -> Router
//!          |  waits while max_connections are open
//!          `- ends on shutdown; open connections finish what they serve, within Limits::drain
//! ```
//!
//! Each request carries its [`Connection`] in its extensions: the address of the peer and the identity that its certificate
//! proved. HTTP/1.1 upgrades work; an upgraded stream belongs to its handler, which has to end it on shutdown itself.
//!
//! Nothing here authenticates or routes: a connection without a certificate is passed on as one.

mod bind;
mod connection;
mod serve;

pub use bind::BindError;
pub use connection::Connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How much a listener takes on, and how long it waits for others.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once. Further ones wait in the system's backlog until one closes.
    pub max_connections: usize,
    /// The longest a client may take for its TLS handshake, and for sending the head of an HTTP/1.1 request.
    pub handshake_timeout: Duration,
    /// How long connections may go on finishing their requests after shutdown. Watches do not finish by themselves: their
    /// handlers end them on shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    /// 10,000 connections (a kubelet with a node of its own holds one), 10 s, and a drain of 5 s, which leaves time for the
    /// rest of a stop within the 10 s that `docker stop` allows.
    fn default() -> Self {
        Self { max_connections: 10_000, handshake_timeout: Duration::from_secs(10), drain: Duration::from_secs(5) }
    }
}

/// A bound port that does not serve yet. Clients may connect from now on; they wait until [`serve`](Self::serve).
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Listener {
    /// Serves TLS instead of plain text. The configuration comes from [`tls::server_config`](crate::tls::server_config).
    pub fn with_tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(TlsAcceptor::from(config));
        self
    }

    /// Replaces the default [`Limits`].
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The address that is bound; with port 0 asked for, the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}
