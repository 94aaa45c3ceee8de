//! The connection: TCP, TLS with our identity, HTTP/2. It is made when first needed and again whenever it is lost.

use crate::Session;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that answers no ping for this long is gone; watches then start again elsewhere.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Lists of many thousand objects need room.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The session names no usable server.
#[derive(Debug, thiserror::Error)]
#[error("{server:?} is not the address of an apiserver: {why}; it must look like https://127.0.0.1:6443")]
pub struct ConnectError {
    server: String,
    why: String,
}

/// A channel that connects lazily.
pub(crate) fn channel(session: &Session) -> Result<Channel, ConnectError> {
    let refuse = |why: &str| ConnectError { server: session.server.clone(), why: why.to_owned() };
    let uri: Uri = session.server.parse().map_err(|_| refuse("not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(refuse("the apiserver speaks TLS only"));
    }
    let host = uri.host().ok_or_else(|| refuse("it has no host"))?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).map_err(|_| refuse("its host is not a name or address"))?;
    let tls = TlsConnector::from(service_kit::tls::client_config(session.identity.as_ref(), &session.ca));
    let connector = tower::service_fn(move |_: Uri| {
        let (tls, name, host) = (tls.clone(), name.clone(), host.clone());
        async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    });
    // TLS is the connector's business; tonic itself is told http so that it does not look for a TLS layer of its own.
    let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
    let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|e| refuse(&e.to_string()))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_with_connector_lazy(connector))
}

/// Shared by all clones of a client.
pub(crate) type SharedToken = Option<Arc<str>>;
