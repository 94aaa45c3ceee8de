//! The kubeconfig file: where the apiserver is, and who we are there.
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use service_kit::tls::{CaBundle, Identity, TlsError};
use std::path::{Path, PathBuf};

/// The file, as kubectl reads and writes it. Members that we do not use are dropped.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kubeconfig {
    /// "v1".
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// "Config".
    pub kind: String,
    /// The servers.
    pub clusters: Vec<Named<Cluster>>,
    /// The identities.
    pub users: Vec<Named<User>>,
    /// Pairs of the two.
    pub contexts: Vec<Named<Context>>,
    /// The pair to use when none is asked for.
    pub current_context: String,
}

/// An entry of one of the lists. Kubernetes names the content after its list; one of the three is set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Named<T> {
    /// What other entries call it.
    pub name: String,
    /// The content.
    #[serde(alias = "cluster", alias = "user", alias = "context", rename = "content")]
    pub content: T,
}

/// Where an apiserver is and how to know it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Cluster {
    /// `https://host:port`.
    pub server: String,
    /// PEM file of the authority that signed the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<PathBuf>,
    /// The same in base64, in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
}

/// An identity: a client certificate or a token.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct User {
    /// PEM file of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// The same in base64, in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// PEM file of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// The same in base64, in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for User {
    /// Shows nothing: what it holds is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("User(..)")
    }
}

/// A cluster and a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Context {
    /// Name of the cluster entry.
    pub cluster: String,
    /// Name of the user entry.
    pub user: String,
    /// Namespace of commands that name none; empty is "default".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// One context of a kubeconfig with its files read: all that a connection needs.
#[derive(Debug, Clone)]
pub struct Session {
    /// `https://host:port`.
    pub server: String,
    /// Whose certificates we believe.
    pub ca: CaBundle,
    /// Our certificate, if we have one.
    pub identity: Option<Identity>,
    /// Our token, if we have one.
    pub token: Option<String>,
    /// Namespace of commands that name none.
    pub namespace: String,
}

/// What is wrong with a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file cannot be read.
    #[error("cannot read the kubeconfig {path}: {source}; `tpctl up` makes one, or name yours with --kubeconfig")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a kubeconfig.
    #[error("{path} is not a kubeconfig: {why}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// An entry is missing or incomplete.
    #[error("kubeconfig: {0}")]
    Incomplete(String),
    /// A certificate or key is not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Kubeconfig {
    /// Reads the file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// The file cannot be read, or is not a kubeconfig.
    pub fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
        let shown = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|source| KubeconfigError::Read { path: shown.clone(), source })?;
        let mut config: Kubeconfig =
            serde_yaml_ng::from_str(&text).map_err(|e| KubeconfigError::Parse { path: shown, why: e.to_string() })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let absolute = |file: &mut Option<PathBuf>| {
            if let Some(file) = file {
                *file = folder.join(&*file);
            }
        };
        for cluster in &mut config.clusters {
            absolute(&mut cluster.content.certificate_authority);
        }
        for user in &mut config.users {
            absolute(&mut user.content.client_certificate);
            absolute(&mut user.content.client_key);
        }
        Ok(config)
    }

    /// The text of the file, as kubectl reads it.
    pub fn to_yaml(&self) -> String {
        let list = |entries: Vec<(String, serde_json::Value)>, word: &str| -> serde_json::Value {
            entries.into_iter().map(|(name, content)| serde_json::json!({ "name": name, word: content })).collect()
        };
        let json = |value: &dyn erased::Json| value.json();
        let document = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": list(self.clusters.iter().map(|c| (c.name.clone(), json(&c.content))).collect(), "cluster"),
            "users": list(self.users.iter().map(|u| (u.name.clone(), json(&u.content))).collect(), "user"),
            "contexts": list(self.contexts.iter().map(|c| (c.name.clone(), json(&c.content))).collect(), "context"),
            "current-context": self.current_context,
        });
        serde_yaml_ng::to_string(&document).expect("a JSON value has a YAML form")
    }

    /// Resolves a context (`None`: the current one) and reads the files that it names.
    ///
    /// # Errors
    /// An entry is missing, or a certificate or key is not usable.
    pub fn session(&self, context: Option<&str>) -> Result<Session, KubeconfigError> {
        let name = context.unwrap_or(&self.current_context);
        let context = find(&self.contexts, name, "context")?;
        let cluster = find(&self.clusters, &context.cluster, "cluster")?;
        let user = find(&self.users, &context.user, "user")?;
        let ca = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            (Some(data), _) => {
                CaBundle::from_pem(&decoded(data, "certificate-authority-data")?, "certificate-authority-data")?
            }
            (None, Some(file)) => CaBundle::from_pem_file(file)?,
            (None, None) => {
                let why = format!(
                    "cluster {:?} has no certificate-authority: without it the server cannot be trusted",
                    context.cluster
                );
                return Err(KubeconfigError::Incomplete(why));
            }
        };
        let namespace = if context.namespace.is_empty() { "default".to_owned() } else { context.namespace.clone() };
        Ok(Session {
            server: cluster.server.clone(),
            ca,
            identity: identity(user)?,
            token: user.token.clone(),
            namespace,
        })
    }
}

fn identity(user: &User) -> Result<Option<Identity>, KubeconfigError> {
    match (&user.client_certificate_data, &user.client_key_data, &user.client_certificate, &user.client_key) {
        (Some(certificate), Some(key), _, _) => {
            let certificate = decoded(certificate, "client-certificate-data")?;
            Ok(Some(Identity::from_pem(&certificate, &decoded(key, "client-key-data")?, "client-certificate-data")?))
        }
        (_, _, Some(certificate), Some(key)) => Ok(Some(Identity::from_pem_files(certificate, key)?)),
        (None, None, None, None) => Ok(None),
        _ => Err(KubeconfigError::Incomplete(
            "the user has a client certificate without its key, or the other way round".to_owned(),
        )),
    }
}

fn find<'a, T>(entries: &'a [Named<T>], name: &str, what: &str) -> Result<&'a T, KubeconfigError> {
    entries.iter().find(|e| e.name == name).map(|e| &e.content).ok_or_else(|| {
        let known: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
        KubeconfigError::Incomplete(format!("there is no {what} {name:?}; the file has: {}", known.join(", ")))
    })
}

fn decoded(base64: &str, field: &str) -> Result<Vec<u8>, KubeconfigError> {
    STANDARD.decode(base64.trim()).map_err(|_| KubeconfigError::Incomplete(format!("{field} is not base64")))
}

/// Entries of any type as JSON.
mod erased {
    pub(super) trait Json {
        fn json(&self) -> serde_json::Value;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self).expect("the entries have only strings")
        }
    }
}
