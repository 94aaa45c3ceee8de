//! Waits until processes are ready, by asking them.

use super::plan::Ready;
use anyhow::{Context, Result, bail};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use service_kit::tls::CaBundle;
use std::net::Ipv4Addr;
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
        let ask = async {
            match ready {
                Ready::Etcd(port) => get(connect(*port).await?, "/health").await,
                Ready::Http(port) => get(connect(*port).await?, "/readyz").await,
                Ready::Https(port) => {
                    let name = rustls_pki_types::ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
                    get(self.tls.connect(name, connect(*port).await?).await?, "/readyz").await
                }
            }
        };
        tokio::time::timeout(ATTEMPT, ask).await.context("no answer")?
    }
}

async fn connect(port: u16) -> Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.context("nothing listens yet")
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
