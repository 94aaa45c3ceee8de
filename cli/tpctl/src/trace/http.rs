//! One GET of a JSON document over plain HTTP.

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// A query may search through many traces.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer of the server.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// GETs `base` + `path_and_query`.
///
/// # Errors
/// The server cannot be reached, or does not answer in time. What it answers is not judged here.
pub(super) async fn get(base: &str, path_and_query: &str) -> Result<Answer> {
    let work = async {
        let uri: http::Uri = base.parse().map_err(|_| anyhow!("it is no URL; write it like http://127.0.0.1:16686"))?;
        if uri.scheme_str() != Some("http") {
            bail!("only http:// is spoken here");
        }
        let host = uri.host().context("it has no host")?;
        let port = uri.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = http::Request::get(format!("{}{path_and_query}", uri.path().trim_end_matches('/')))
            .header("host", format!("{host}:{port}"))
            .header("accept", "application/json")
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok(Answer { status, body })
    };
    tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| Err(anyhow!("no answer within {TIMEOUT:?}")))
}

/// Text made fit for a query string.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_encoded_byte_by_byte() {
        assert_eq!(encoded(r#"{"k8s.pod.name":"ä b"}"#), "%7B%22k8s.pod.name%22%3A%22%C3%A4%20b%22%7D");
    }
}
