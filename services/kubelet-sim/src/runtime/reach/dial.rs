//! Opening TCP connections, with Go's words for what goes wrong.

use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;
use tokio::net::{TcpStream, lookup_host};

/// Connects to `host:port`. Of several addresses of a host the first that accepts counts, and the first that does not gives the error.
pub(super) async fn dial(address: &str) -> Result<TcpStream, String> {
    let candidates: Vec<SocketAddr> = match address.parse() {
        Ok(address) => vec![address],
        Err(_) => lookup_host(address).await.map(Iterator::collect).unwrap_or_default(),
    };
    let mut first = None;
    for candidate in candidates {
        match TcpStream::connect(candidate).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                first.get_or_insert_with(|| format!("dial tcp {candidate}: connect: {}", in_words(&error)));
            }
        }
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    Err(first.unwrap_or_else(|| format!("dial tcp: lookup {host}: no such host")))
}

/// An error of the system without Rust's addition of its number: `connection refused`.
pub(super) fn in_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_lowercase(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => error.to_string(),
    }
}
