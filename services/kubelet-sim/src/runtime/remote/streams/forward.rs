//! A connection to a port: one data channel and one for complaints.
//!
//! In version 4 of the protocol a client cannot say that it has sent all; shutting down the writing side is then told nobody, and the answer
//! still comes. Dropping the connection closes it.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf, duplex, split,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::channels::{Receiving, Sending};

const DATA: u8 = 0;
const COMPLAINTS: u8 = 1;
/// Both channels begin with the number of the port, in two bytes.
const PREAMBLE: usize = 2;

/// How much may be on its way in each direction.
const BUFFER: usize = 64 * 1_024;

/// A connection that the runtime made.
pub(super) struct Forwarded {
    stream: DuplexStream,
    complaint: Arc<OnceLock<String>>,
    _open: DropGuard,
}

impl Forwarded {
    pub(super) fn over((sending, receiving): (Sending, Receiving)) -> Self {
        let (stream, theirs) = duplex(BUFFER);
        let (complaint, dropped) = (Arc::<OnceLock<String>>::default(), CancellationToken::new());
        let (from_client, to_client) = split(theirs);
        let told = Arc::clone(&complaint);
        let open = dropped.clone().drop_guard();
        tokio::spawn(async move {
            let mut sending = sending;
            {
                let mut sent = pin!(send(&mut sending, from_client));
                let mut received = pin!(receive(receiving, to_client, &told));
                let mut sending_on = true;
                loop {
                    tokio::select! {
                        () = &mut received => break,
                        () = dropped.cancelled() => break,
                        () = &mut sent, if sending_on => sending_on = false,
                    }
                }
            }
            sending.end().await;
        });
        Self { stream, complaint, _open: open }
    }
}

async fn send(sending: &mut Sending, mut from_client: ReadHalf<DuplexStream>) {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    while let Ok(1..) = from_client.read_buf(&mut buffer).await {
        if !sending.send(DATA, buffer.split().freeze()).await {
            return;
        }
    }
    sending.close(DATA).await;
}

/// Ends with the connection; dropping the writing half is the end of the stream for the client.
async fn receive(mut receiving: Receiving, mut to_client: WriteHalf<DuplexStream>, complaint: &OnceLock<String>) {
    let mut preambles = [PREAMBLE; 2];
    while let Some((channel, mut bytes)) = receiving.next().await {
        let Some(preamble) = preambles.get_mut(usize::from(channel)) else { continue };
        let skipped = bytes.split_to(bytes.len().min(*preamble));
        *preamble -= skipped.len();
        match channel {
            DATA if to_client.write_all(&bytes).await.is_err() => return,
            COMPLAINTS if !bytes.is_empty() => drop(complaint.set(text(&bytes))),
            _ => {}
        }
    }
    let _ = to_client.shutdown().await;
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl AsyncRead for Forwarded {
    /// The end of a connection that never came about is an error, with the runtime's words.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match self.complaint.get() {
            Some(complaint) if buf.filled().len() == before && buf.remaining() > 0 => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionRefused, complaint.clone())))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
