//! The operations port of a component that serves nothing else: health and metrics.
//!
//! The apiserver and the kubelet serve these routes on their main port; scheduler and controller-manager have only this one.
//! With an identity it speaks TLS. Without one it speaks plain text, which is why the default address is local.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use rustls::ServerConfig;

use crate::health::Health;
use crate::listener::{BindError, Listener};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// The flag that chooses the port.
const PORT_FLAG: &str = "--secure-port";

/// Where a component serves health and metrics.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Serving")]
pub struct OpsArgs {
    /// Address to serve on; 0.0.0.0 for all addresses of the machine.
    #[arg(long, value_name = "ADDRESS", env = "TRACEPLANE_BIND_ADDRESS", default_value_t = LOCAL)]
    pub bind_address: IpAddr,

    /// Port to serve on; 0 for a free one [default: the component's own].
    #[arg(id = "secure_port", long = "secure-port", value_name = "PORT", env = "TRACEPLANE_SECURE_PORT")]
    pub port: Option<u16>,
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Default for OpsArgs {
    fn default() -> Self {
        Self { bind_address: LOCAL, port: None }
    }
}

impl OpsArgs {
    /// The address to serve on; `default_port` is the component's own (scheduler 10259, controller-manager 10257).
    pub fn address(&self, default_port: u16) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.port.unwrap_or(default_port))
    }
}

/// A bound operations port that does not serve yet.
pub struct Ops {
    listener: Listener,
    router: Router,
}

impl Ops {
    /// Takes the port, so that a port in use is known at start. `tls` comes from
    /// [`tls::server_config`](crate::tls::server_config); without it the port speaks plain text.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        health: &Health,
        metrics: &Metrics,
    ) -> Result<Self, BindError> {
        let mut listener = Listener::bind(address, PORT_FLAG).await?;
        if let Some(tls) = tls {
            listener = listener.with_tls(tls);
        }
        Ok(Self { listener, router: health.router().merge(metrics.router()) })
    }

    /// The address that is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until shutdown.
    pub async fn serve(self, shutdown: Shutdown) {
        self.listener.serve(self.router, shutdown).await;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Config {
        #[command(flatten)]
        ops: OpsArgs,
    }

    #[test]
    fn the_port_defaults_to_the_components_own() {
        for (args, expected) in [
            (&["x"] as &[_], "127.0.0.1:10259"),
            (&["x", "--secure-port", "0", "--bind-address", "::"], "[::]:0"),
            (&["x", "--secure-port=7000"], "127.0.0.1:7000"),
        ] {
            let config = Config::try_parse_from(args).unwrap();
            assert_eq!(config.ops.address(10259).to_string(), expected);
        }
    }
}
