//! Who this process is on the wire, and whom it believes: mutual TLS with rustls and ring.
//!
//! An [`Identity`] is a certificate chain with its key, a [`CaBundle`] the authorities that are believed; both come from PEM
//! files or from PEM bytes (a kubeconfig carries them inline) and are checked when they are loaded, so that a wrong file is
//! found at start and not in the first handshake. [`server_config`] and [`client_config`] make rustls configurations of them,
//! and [`peer_identity`] reads who the other side is.
//!
//! Invariant: no message of this module shows a key, and each names the file and what to do. It makes no certificates
//! (`tpctl pki` does) and does not watch the files: an exchanged certificate is read at the next start.

mod args;
mod config;
mod error;
mod material;
mod peer;
mod subject;
#[cfg(test)]
mod testing;

pub use args::TlsServingArgs;
pub use config::{ClientAuth, client_config, server_config};
pub use error::{Item, Origin, TlsError};
pub use material::{CaBundle, Identity};
pub use peer::{PeerIdentity, peer_identity};
pub use subject::client_config_for_subject;

/// Makes ring the process's default for cryptography. The configurations made here name it themselves; this is for libraries
/// that ask for the default. Calling it again does nothing.
pub fn install_provider() {
    // An error means that a default is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
