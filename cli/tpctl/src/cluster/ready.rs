//! Waits until processes are ready, by asking them.

use super::plan::Ready;
use anyhow::{Context, Result, bail};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use service_kit::tls::CaBundle;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One attempt may take this long.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Asks processes of one cluster whether they are ready.
pub(crate) struct Prober {
    tls: TlsConnector,
}

impl Prober {
    /// Believes servers with certificates of this authority.
    pub(crate) fn new(ca: &Path) -> Result<Prober> {
        let ca = CaBundle::from_pem_file(ca)?;
        let mut config = (*service_kit::tls::client_config(None, &ca)).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Prober { tls: TlsConnector::from(std::sync::Arc::new(config)) })
    }

    /// Ok if the process says that it is ready; otherwise what it says instead.
    pub(crate) async fn ask(&self, ready: &Ready) -> Result<()> {
        const HERE: &str = "127.0.0.1";
        match ready {
            Ready::Etcd(port) => Prober::plain(HERE, *port, "/health").await,
            Ready::Http(port) => Prober::plain(HERE, *port, "/readyz").await,
            Ready::Https(port) => self.tls(HERE, *port, "/readyz").await,
        }
    }

    /// Asks a server that speaks plain HTTP.
    pub(crate) async fn plain(host: &str, port: u16, path: &str) -> Result<()> {
        in_time(async { get(connect(host, port).await?, path).await }).await
    }

    /// Asks a server over TLS. Its certificate must be for `host` and of our authority.
    pub(crate) async fn tls(&self, host: &str, port: u16, path: &str) -> Result<()> {
        let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host:?} is no host name"))?;
        in_time(async { get(self.tls.connect(name, connect(host, port).await?).await?, path).await }).await
    }
}

async fn in_time(ask: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(ATTEMPT, ask).await.context("no answer")?
}

async fn connect(host: &str, port: u16) -> Result<TcpStream> {
    TcpStream::connect((host, port)).await.context("nothing listens yet")
}

async fn get(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> Result<()> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request =
        http::Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new()).expect("the request is valid");
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        bail!("{path} answers {}", answer.status());
    }
    Ok(())
}
