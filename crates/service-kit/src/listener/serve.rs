//! The accept loop and its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::Listener;
use super::connection::{Server, http};
use crate::shutdown::Shutdown;

/// The pause after the system refused a connection for want of resources; the backlog holds the clients meanwhile.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(100);

impl Listener {
    /// Serves `router` until shutdown, then lets the open connections finish within [`Limits::drain`](super::Limits::drain)
    /// and cuts off the rest. A failing connection never ends the listener.
    pub async fn serve(self, router: Router, shutdown: Shutdown) {
        let Self { tcp, address, tls, limits } = self;
        info!(%address, tls = tls.is_some(), "listening");
        let drain = CancellationToken::new();
        let cut_off = CancellationToken::new();
        let server = Arc::new(Server {
            router,
            tls,
            handshake_timeout: limits.handshake_timeout,
            http: http(limits.handshake_timeout),
            drain: drain.clone(),
        });
        let connections = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        let accepting = async {
            loop {
                let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
                let (stream, remote_addr) = match tcp.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        refused(&error).await;
                        continue;
                    }
                };
                let (server, cut_off) = (Arc::clone(&server), cut_off.clone());
                connections.spawn(async move {
                    cut_off.run_until_cancelled(server.serve(stream, remote_addr)).await;
                    drop(slot);
                });
            }
        };
        let stopped: Option<()> = shutdown.run_until_triggered(accepting).await;
        debug_assert!(stopped.is_none(), "accepting never ends by itself");

        // The port is free again from here on, so a successor can start while this process drains.
        drop(tcp);
        drain.cancel();
        connections.close();
        if timeout(limits.drain, connections.wait()).await.is_err() {
            warn!(%address, connections = connections.len(), drain = ?limits.drain, "cutting off connections that did not finish");
            cut_off.cancel();
            connections.wait().await;
        }
    }
}

async fn refused(error: &io::Error) {
    match error.kind() {
        // The client gave up while it waited in the backlog.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused => {}
        _ => {
            warn!(%error, "cannot accept a connection, most likely for want of file descriptors");
            sleep(OUT_OF_RESOURCES).await;
        }
    }
}
