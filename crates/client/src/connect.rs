//! The connection: TCP, TLS with our identity, HTTP/2. It is made when first needed and again whenever it is lost.

use crate::Session;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// For TCP and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that answers no ping for this long is gone; watches then start again elsewhere.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Lists of many thousand objects need room.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Why no connection can be made with a session, ever.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The session names no usable server.
    #[error("{server:?} is not the address of an apiserver: {why}; it must look like https://127.0.0.1:6443")]
    Server {
        /// What the session says.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The session's token cannot be sent.
    #[error(
        "the token of the kubeconfig's user has characters that no HTTP header may have; was it copied with its line break?"
    )]
    Token,
}

/// What an address says.
struct Address {
    host: String,
    port: u16,
    /// For HTTP/2's `:authority`.
    authority: String,
}

/// A channel to the session's server that connects lazily.
pub(crate) fn channel(session: &Session) -> Result<Channel, ConnectError> {
    let Address { host, port, authority } = address(&session.server)?;
    let presented = session.server_name.as_ref().unwrap_or(&host);
    let name = ServerName::try_from(presented.clone())
        .map_err(|_| refused(&session.server, format!("{presented:?} is not a name or an address")))?;
    let tls = TlsConnector::from(service_kit::tls::client_config(session.identity.as_ref(), &session.ca));
    let connect = move || {
        let (tls, name, host) = (tls.clone(), name.clone(), host.clone());
        async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            tls.connect(name, tcp).await
        }
    };
    channel_over(&session.server, &authority, connect)
}

/// A channel over connections that the caller makes.
pub(crate) fn channel_by<F, C, T>(server: &str, connect: F) -> Result<Channel, ConnectError>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = io::Result<T>> + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    channel_over(server, &address(server)?.authority, connect)
}

fn channel_over<F, C, T>(server: &str, authority: &str, connect: F) -> Result<Channel, ConnectError>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = io::Result<T>> + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // TLS is the connector's business; tonic itself is told http so that it does not look for a TLS layer of its own.
    let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|e| refused(server, e.to_string()))?;
    let connect = Arc::new(connect);
    let connector = tower::service_fn(move |_: Uri| {
        let connect = Arc::clone(&connect);
        async move { Ok::<_, io::Error>(TokioIo::new(connect().await?)) }
    });
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_with_connector_lazy(connector))
}

fn address(server: &str) -> Result<Address, ConnectError> {
    let refuse = |why: &str| refused(server, why.to_owned());
    let uri: Uri = server.parse().map_err(|_| refuse("it is not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(refuse("the apiserver speaks TLS only"));
    }
    if !matches!(uri.path(), "" | "/") {
        return Err(refuse("gRPC is served at the root, not under a path"));
    }
    let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
    Ok(Address {
        // An IPv6 address stands in brackets in a URL, and nowhere else.
        host: authority.host().trim_matches(['[', ']']).to_owned(),
        port: authority.port_u16().unwrap_or(443),
        authority: authority.to_string(),
    })
}

fn refused(server: &str, why: String) -> ConnectError {
    ConnectError::Server { server: server.to_owned(), why }
}
