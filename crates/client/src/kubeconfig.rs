//! The kubeconfig file: where the apiserver is, and who we are there.
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>
//!
//! Invariant: what kubectl wrote comes out of [`Kubeconfig::to_yaml`] as it went in, members that we do not use included. One file is
//! read; kubectl's merging of several is not done here, nor is a credential plugin ever run.

mod entry;
mod error;
mod session;

pub use entry::{Cluster, Context, Named, User};
pub use error::KubeconfigError;
pub use session::Session;

use entry::null_is_empty;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file, as kubectl reads and writes it. The default is a config without entries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kubeconfig {
    /// "v1".
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// "Config".
    pub kind: String,
    /// The servers.
    #[serde(deserialize_with = "null_is_empty")]
    pub clusters: Vec<Named<Cluster>>,
    /// The identities.
    #[serde(deserialize_with = "null_is_empty")]
    pub users: Vec<Named<User>>,
    /// Pairs of the two.
    #[serde(deserialize_with = "null_is_empty")]
    pub contexts: Vec<Named<Context>>,
    /// The pair to use when none is asked for.
    #[serde(deserialize_with = "null_is_empty")]
    pub current_context: String,
    /// Members that we do not use.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
    /// The file it was read from, for messages; empty if it was not read.
    #[serde(skip)]
    pub origin: PathBuf,
}

impl Default for Kubeconfig {
    fn default() -> Self {
        Kubeconfig {
            api_version: "v1".to_owned(),
            kind: "Config".to_owned(),
            clusters: Vec::new(),
            users: Vec::new(),
            contexts: Vec::new(),
            current_context: String::new(),
            other: BTreeMap::new(),
            origin: PathBuf::new(),
        }
    }
}

impl Kubeconfig {
    /// Reads the file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// The file cannot be read, or is not a kubeconfig.
    pub fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| KubeconfigError::Read { path: shown(), source })?;
        let refuse = |why: String| KubeconfigError::Parse { path: shown(), why };
        // kubectl takes an empty file for a config without entries.
        let config: Option<Kubeconfig> = serde_yaml_ng::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        let mut config = config.unwrap_or_default();
        if (config.api_version.as_str(), config.kind.as_str()) != ("v1", "Config") {
            return Err(refuse(format!("it is a {} of {}, not a Config of v1", config.kind, config.api_version)));
        }
        config.resolve_paths(path.parent().unwrap_or(Path::new("")));
        config.origin = path.to_owned();
        Ok(config)
    }

    /// The text of the file, as kubectl reads it.
    pub fn to_yaml(&self) -> String {
        serde_yaml_ng::to_string(self).expect("a config has only strings, lists and maps with string keys")
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let clusters = self.clusters.iter_mut().map(|cluster| &mut cluster.content.certificate_authority);
        let users = self.users.iter_mut().flat_map(|Named { content: user, .. }| {
            [&mut user.client_certificate, &mut user.client_key, &mut user.token_file]
        });
        for file in clusters.chain(users).flatten() {
            *file = folder.join(&*file);
        }
    }
}
