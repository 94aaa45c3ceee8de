//! The wire of a runtime's streaming server: numbered channels over one WebSocket (`v4.channel.k8s.io`, `v5.channel.k8s.io`).
//!
//! Every message is a channel's number and bytes for it. Version 5 adds a message that closes one channel; in version 4 only the
//! whole connection can be closed, so a command there never sees the end of its input.

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::Uri;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tonic::Code;

use super::connection::REQUEST;
use crate::runtime::{Result, RuntimeError};

/// The newest first; the server takes the first that it knows.
const PROTOCOLS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";
const CLOSES_CHANNELS: &str = "v5.channel.k8s.io";
/// The number that says which channel is closed.
const CLOSE: u8 = 255;

/// The largest message that is sent: a frame is taken in whole before it goes on.
const LARGEST: usize = 32 * 1_024;

/// The half that sends.
pub(super) struct Sending {
    sink: SplitSink<WebSocketStream<TcpStream>, Message>,
    closes_channels: bool,
}

/// The half that receives.
pub(super) struct Receiving {
    stream: SplitStream<WebSocketStream<TcpStream>>,
}

/// Connects to the address that the runtime answered.
pub(super) async fn open(url: &str) -> Result<(Sending, Receiving)> {
    match timeout(REQUEST, connect(url)).await {
        Ok(connected) => connected,
        Err(_) => Err(failed(url, "context deadline exceeded")),
    }
}

async fn connect(url: &str) -> Result<(Sending, Receiving)> {
    let uri: Uri = url.parse().map_err(|error| failed(url, error))?;
    let address = match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "ws"), Some(authority)) => authority.as_str().to_owned(),
        _ => return Err(failed(url, "only plain HTTP is spoken (enable_tls_streaming must be off)")),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = format!("ws://{address}{path}").into_client_request().map_err(|error| failed(url, error))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, http::HeaderValue::from_static(PROTOCOLS));
    let stream = TcpStream::connect(&address).await.map_err(|error| failed(url, error))?;
    let (socket, answer) = client_async(request, stream).await.map_err(|error| refused(url, error))?;
    let agreed = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let closes_channels = agreed.is_some_and(|protocol| protocol == CLOSES_CHANNELS);
    let (sink, stream) = socket.split();
    Ok((Sending { sink, closes_channels }, Receiving { stream }))
}

fn failed(url: &str, why: impl std::fmt::Display) -> RuntimeError {
    let message = format!("cannot reach the runtime's streaming server at {url}: {why}");
    RuntimeError { code: Code::Unavailable, message }
}

/// A server that answers something else than a stream says why in its body.
fn refused(url: &str, error: tungstenite::Error) -> RuntimeError {
    match error {
        tungstenite::Error::Http(answer) => {
            let said = answer.body().as_ref().map(|body| String::from_utf8_lossy(body).trim().to_owned());
            failed(url, said.filter(|said| !said.is_empty()).unwrap_or_else(|| answer.status().to_string()))
        }
        error => failed(url, error),
    }
}

impl Sending {
    /// Sends bytes on a channel. False: nobody is there any more.
    pub(super) async fn send(&mut self, channel: u8, mut bytes: Bytes) -> bool {
        loop {
            let part = bytes.split_to(bytes.len().min(LARGEST));
            let mut message = BytesMut::with_capacity(part.len() + 1);
            message.put_u8(channel);
            message.put(part);
            if self.sink.send(Message::Binary(message.freeze())).await.is_err() {
                return false;
            }
            if bytes.is_empty() {
                return true;
            }
        }
    }

    /// Says that no more comes on a channel, where the protocol has words for it.
    pub(super) async fn close(&mut self, channel: u8) {
        if self.closes_channels {
            self.send(CLOSE, Bytes::copy_from_slice(&[channel])).await;
        }
    }

    /// Says goodbye.
    pub(super) async fn end(&mut self) {
        let _ = self.sink.close().await;
    }
}

impl Receiving {
    /// The next bytes and their channel; `None` when the connection is over.
    pub(super) async fn next(&mut self) -> Option<(u8, Bytes)> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Binary(mut bytes)) if !bytes.is_empty() => {
                    let channel = bytes.split_to(1)[0];
                    return Some((channel, bytes));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
