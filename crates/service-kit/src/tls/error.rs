//! What can be wrong with a certificate, a key or a CA, said so that the reader can repair it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

/// The piece that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A certificate with its chain.
    Certificate,
    /// The private key of a certificate.
    PrivateKey,
    /// The certificates of the authorities that are believed.
    CaCertificate,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::PrivateKey => "private key",
            Self::CaCertificate => "CA certificate",
        })
    }
}

/// Where a piece came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Bytes that stood in something with this name ("client-key-data in admin.kubeconfig").
    Data(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Data(name) => f.write_str(name),
        }
    }
}

/// Why an identity or a CA bundle cannot be used. Every message names the piece, its origin and the fix.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file does not exist.
    #[error("{item} file {origin} does not exist: correct the path, or make certificates with `tpctl pki`")]
    Missing {
        /// The piece that was wanted.
        item: Item,
        /// The file.
        origin: Origin,
    },
    /// The file exists but this process may not or cannot read it.
    #[error("cannot read {item} file {origin} ({error}): check its owner and mode, and the user this process runs as")]
    NotReadable {
        /// The piece that was wanted.
        item: Item,
        /// The file.
        origin: Origin,
        /// The reason the system gave.
        error: io::Error,
    },
    /// The data has no such piece in it, or a damaged one.
    #[error("{origin} holds no valid {item} in PEM form: {hint}")]
    NotPem {
        /// The piece that was wanted.
        item: Item,
        /// Where it was looked for.
        origin: Origin,
        /// What was found or expected instead.
        hint: &'static str,
    },
    /// Certificate and key are not a pair.
    #[error(
        "the private key in {key} does not belong to the certificate in {certificate}: name the key it was made with"
    )]
    WrongKey {
        /// Where the certificate came from.
        certificate: Origin,
        /// Where the key came from.
        key: Origin,
    },
    /// The certificate's time is over.
    #[error("the {item} in {origin} expired at {not_after}: renew it with `tpctl pki`")]
    Expired {
        /// The piece that expired.
        item: Item,
        /// Where it came from.
        origin: Origin,
        /// When it expired.
        not_after: Timestamp,
    },
    /// The certificate's time has not come.
    #[error("the {item} in {origin} is not valid before {not_before}: check this machine's clock")]
    NotYetValid {
        /// The piece that is not valid yet.
        item: Item,
        /// Where it came from.
        origin: Origin,
        /// When it becomes valid.
        not_before: Timestamp,
    },
    /// A certificate was given without a key, or a key without a certificate.
    #[error("{given} is given without {missing}: give both, or neither")]
    Incomplete {
        /// The flag that was given.
        given: &'static str,
        /// The flag that is missing.
        missing: &'static str,
    },
    /// rustls refuses the piece, for instance for its kind of key.
    #[error("the {item} in {origin} cannot be used ({error}): make a new one with `tpctl pki`")]
    Unusable {
        /// The piece.
        item: Item,
        /// Where it came from.
        origin: Origin,
        /// The reason rustls gave.
        error: rustls::Error,
    },
}
