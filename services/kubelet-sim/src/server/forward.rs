//! Port-forward: one connection to a port of a pod, as messages.

use std::io;

use api::rpc::{PortForwardInput, PortForwardOutput, port_forward_input};
use api::{Error, Reason};
use bytes::BytesMut;
use futures::{Stream, stream};
use service_kit::rpc_status::to_status;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::choose;
use super::lookup::Found;
use crate::runtime::Connection;

/// The most that is read at once.
const PIECE: usize = 32 << 10;

/// Connects to the port.
pub(super) async fn open(
    found: &Found,
    port: u32,
    messages: Streaming<PortForwardInput>,
) -> api::Result<impl Stream<Item = Result<PortForwardOutput, Status>> + use<>> {
    let port =
        u16::try_from(port).map_err(|_| Error::bad_request(format!("port {port} is not between 1 and 65535")))?;
    let observed = found.observe().await?;
    let sandbox = choose::sandbox(&observed, &found.full_name())?;
    let connection = found.runtime.streams.port_forward(&sandbox.id, port).await.map_err(|error| {
        let (pod, uid) = (found.full_name(), &found.pod.metadata.uid);
        Error::new(Reason::Unknown, format!("error forwarding port {port} to pod {pod}, uid {uid}: {}", error.message))
    })?;
    let (from_pod, to_pod) = split(connection);
    let sending = AbortOnDropHandle::new(tokio::spawn(send(messages, to_pod)));
    Ok(received(from_pod, sending))
}

/// What comes from the pod, until it closes its side. Dropped, it takes the other direction with it.
fn received(
    from_pod: ReadHalf<Box<dyn Connection>>,
    sending: AbortOnDropHandle<()>,
) -> impl Stream<Item = Result<PortForwardOutput, Status>> {
    let buffer = BytesMut::with_capacity(PIECE);
    stream::unfold(Some((from_pod, buffer, sending)), async |reading| {
        let (mut from_pod, mut buffer, sending) = reading?;
        buffer.reserve(PIECE);
        match from_pod.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(_) => {
                let data = buffer.split().freeze();
                Some((Ok(PortForwardOutput { data }), Some((from_pod, buffer, sending))))
            }
            Err(error) => Some((Err(broken(&error)), None)),
        }
    })
}

/// Passes on what the client sends; its end is the connection's FIN. A pod that takes no more shows in the other direction.
async fn send(mut messages: Streaming<PortForwardInput>, mut to_pod: WriteHalf<Box<dyn Connection>>) {
    loop {
        match messages.message().await {
            Ok(Some(PortForwardInput { input: Some(port_forward_input::Input::Data(data)) })) => {
                if to_pod.write_all(&data).await.is_err() {
                    return;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                let _ = to_pod.shutdown().await;
                return;
            }
            // The client is gone, and with it the answer.
            Err(_) => return,
        }
    }
}

fn broken(error: &io::Error) -> Status {
    to_status(&Error::unavailable(format!("the connection to the pod broke: {error}")))
}
