//! What can be wrong with a kubeconfig, said so that the reader can repair it.

use service_kit::tls::TlsError;
use std::io;

/// What is wrong with a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file cannot be read.
    #[error("cannot read the kubeconfig {path}: {source}; `tpctl up` makes one, or name yours with --kubeconfig")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is not a kubeconfig.
    #[error("{path} is not a kubeconfig: {why}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// An entry is missing, incomplete, or needs what we do not support. The text names the file.
    #[error("{0}")]
    Incomplete(String),
    /// A certificate or key is not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
