//! Taking a port, and saying what to do when that fails.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{Limits, Listener};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has the port.
    #[error("port {} is in use on {}: stop the process that has it, or choose another with {flag}", .address.port(), .address.ip())]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
    },
    /// The system keeps the port for privileged users.
    #[error("not allowed to listen on {address}: choose a port from 1024 upwards with {flag}")]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
    },
    /// The address belongs to another machine.
    #[error("{} is no address of this machine: choose one that is, or 0.0.0.0 for all of them", .address.ip())]
    NotLocal {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system gave another reason.
    #[error("cannot listen on {address}: {error}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// The reason the system gave.
        error: io::Error,
    },
}

impl Listener {
    /// Takes a port; 0 lets the system choose a free one. `flag` is the flag that chooses the port, for the error's advice.
    pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<Self, BindError> {
        let bound = TcpListener::bind(address).await;
        let (tcp, address) =
            bound.and_then(|tcp| tcp.local_addr().map(|local| (tcp, local))).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => BindError::InUse { address, flag },
                io::ErrorKind::PermissionDenied => BindError::NotPermitted { address, flag },
                io::ErrorKind::AddrNotAvailable => BindError::NotLocal { address },
                _ => BindError::Other { address, error },
            })?;
        Ok(Self { tcp, address, tls: None, limits: Limits::default() })
    }
}
