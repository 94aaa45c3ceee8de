//! One accepted connection: handshake, then requests until either side ends it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::{debug, info};

use crate::tls::{PeerIdentity, peer_identity};

/// What a request's extensions say about the connection it came on.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The peer's address.
    pub remote_addr: SocketAddr,
    /// The subject of the client certificate; `None` when the client presented none.
    pub peer: Option<Arc<PeerIdentity>>,
}

/// What every connection of a listener shares.
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) handshake_timeout: Duration,
    pub(super) http: Builder<TokioExecutor>,
    /// Finish the requests that run and take no more.
    pub(super) drain: CancellationToken,
}

/// The HTTP settings, made for many long watches on few connections.
pub(super) fn http(handshake_timeout: Duration) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(handshake_timeout);
    http.http2()
        .timer(TokioTimer::new())
        // One client process may hold thousands of watches on one connection; a low limit would make the next
        // request wait for a stream that never ends.
        .max_concurrent_streams(65_536)
        // A peer that vanished without a word (power, network) is noticed within 45 s. Kubernetes' values.
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15))
        // Room for an object of the largest size (1.5 MiB) without waiting for window updates.
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(8 << 20);
    http
}

impl Server {
    /// Serves one connection to its end.
    pub(super) async fn serve(&self, stream: TcpStream, remote_addr: SocketAddr) {
        // Answers and watch events are small and waited for; Nagle's algorithm would hold them back.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%remote_addr, %error, "cannot set TCP_NODELAY");
        }
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, Connection { remote_addr, peer: None }).await;
        };
        match timeout(self.handshake_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let peer = peer_identity(certificates).map(Arc::new);
                self.serve_http(stream, Connection { remote_addr, peer }).await;
            }
            // Opening and closing a connection is how load balancers and port probes look for life.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                debug!(%remote_addr, "connection closed before the TLS handshake");
            }
            Ok(Err(error)) => info!(%remote_addr, %error, "TLS handshake failed"),
            Err(_) => info!(%remote_addr, "TLS handshake timed out"),
        }
    }

    async fn serve_http<S>(&self, stream: S, connection: Connection)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let remote_addr = connection.remote_addr;
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(connection.clone());
            // A router is always ready; the clone is one reference count.
            let answer = router.clone().call(request);
            async move {
                Ok::<_, Infallible>(match answer.await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                })
            }
        });
        let mut http = pin!(self.http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = http.as_mut() => ended,
            () = self.drain.cancelled() => {
                http.as_mut().graceful_shutdown();
                http.await
            }
        };
        if let Err(error) = ended {
            debug!(%remote_addr, error = %crate::chain::Chain(error.as_ref()), "connection ended");
        }
    }
}
