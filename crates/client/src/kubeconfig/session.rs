//! From the entries of a kubeconfig to what a connection needs.

use super::entry::{Cluster, Context, Entry, Named, User};
use super::{Kubeconfig, KubeconfigError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use service_kit::tls::{CaBundle, Identity};
use std::fmt;
use std::path::PathBuf;

/// One context of a kubeconfig with its files read: all that a connection needs.
#[derive(Clone)]
pub struct Session {
    /// `https://host:port`.
    pub server: String,
    /// The name that the server's certificate must have; `None`: the server's host.
    pub server_name: Option<String>,
    /// Whose certificates we believe.
    pub ca: CaBundle,
    /// Our certificate, if we have one.
    pub identity: Option<Identity>,
    /// Our token, if we have one.
    pub token: Option<String>,
    /// Namespace of commands that name none.
    pub namespace: String,
}

impl fmt::Debug for Session {
    /// Shows no token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("server", &self.server)
            .field("identity", &self.identity)
            .field("has_token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

impl Kubeconfig {
    /// Resolves a context (`None`: the current one) and reads the files that it names. A context without a user, or with one that has no
    /// credentials, is an anonymous one.
    ///
    /// # Errors
    /// An entry is missing, needs what we do not support, or a certificate or key is not usable.
    pub fn session(&self, context: Option<&str>) -> Result<Session, KubeconfigError> {
        let name = context.unwrap_or(&self.current_context);
        if name.is_empty() {
            return Err(self.wrong(format!(
                "no context is current; choose one with `kubectl config use-context` ({})",
                known(&self.contexts)
            )));
        }
        let context: &Context = self.find(&self.contexts, name)?;
        let cluster = self.find(&self.clusters, &context.cluster)?;
        let nobody = User::default();
        let user = if context.user.is_empty() { &nobody } else { self.find(&self.users, &context.user)? };
        Ok(Session {
            server: cluster.server.clone(),
            server_name: cluster.tls_server_name.clone().filter(|name| !name.is_empty()),
            ca: self.authority(&context.cluster, cluster)?,
            identity: self.identity(&context.user, user)?,
            token: self.token(&context.user, user)?,
            namespace: Some(&context.namespace).filter(|n| !n.is_empty()).map_or("default", String::as_str).to_owned(),
        })
    }

    fn authority(&self, name: &str, cluster: &Cluster) -> Result<CaBundle, KubeconfigError> {
        for unsupported in ["insecure-skip-tls-verify", "proxy-url"] {
            if !matches!(cluster.other.get(unsupported), None | Some(Value::Bool(false) | Value::Null)) {
                return Err(self.wrong(format!("cluster {name:?} has {unsupported}, which is not supported here")));
            }
        }
        match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            (Some(data), _) => {
                let (pem, origin) = self.data(data, "certificate-authority-data", "cluster", name)?;
                Ok(CaBundle::from_pem(&pem, &origin)?)
            }
            (None, Some(file)) => Ok(CaBundle::from_pem_file(file)?),
            (None, None) => Err(self.wrong(format!(
                "cluster {name:?} has no certificate-authority: without it the server cannot be trusted"
            ))),
        }
    }

    fn identity(&self, name: &str, user: &User) -> Result<Option<Identity>, KubeconfigError> {
        for unsupported in ["exec", "auth-provider", "username", "as"] {
            if user.other.contains_key(unsupported) {
                return Err(self.wrong(format!(
                    "user {name:?} has {unsupported}, which is not supported here: use a client certificate or a token"
                )));
            }
        }
        let certificate = (&user.client_certificate_data, &user.client_certificate);
        let key = (&user.client_key_data, &user.client_key);
        match (certificate, key) {
            ((None, None), (None, None)) => Ok(None),
            // Read by path, so that messages can name the files.
            ((None, Some(certificate)), (None, Some(key))) => Ok(Some(Identity::from_pem_files(certificate, key)?)),
            ((None, None), _) | (_, (None, None)) => {
                Err(self
                    .wrong(format!("user {name:?} has a client certificate without its key, or the other way round")))
            }
            (certificate, key) => {
                let (certificate, origin) = self.pem(certificate, "client-certificate", name)?;
                let (key, _) = self.pem(key, "client-key", name)?;
                Ok(Some(Identity::from_pem(&certificate, &key, &origin)?))
            }
        }
    }

    /// The bytes of a member that stands in place or in a file, and where that is. One of the two is set.
    fn pem(
        &self,
        (data, file): (&Option<String>, &Option<PathBuf>),
        member: &str,
        user: &str,
    ) -> Result<(Vec<u8>, String), KubeconfigError> {
        match (data, file) {
            (Some(data), _) => self.data(data, &format!("{member}-data"), "user", user),
            (None, file) => {
                let file = file.as_deref().unwrap_or(std::path::Path::new(""));
                let pem = std::fs::read(file).map_err(|e| {
                    self.wrong(format!("cannot read {member} {} of user {user:?}: {e}", file.display()))
                })?;
                Ok((pem, file.display().to_string()))
            }
        }
    }

    fn data(&self, base64: &str, member: &str, word: &str, name: &str) -> Result<(Vec<u8>, String), KubeconfigError> {
        let bytes = STANDARD
            .decode(base64.trim())
            .map_err(|_| self.wrong(format!("{member} of {word} {name:?} is not base64; was it cut off?")))?;
        Ok((bytes, format!("{member} of {word} {name:?} in {}", self.shown())))
    }

    fn token(&self, name: &str, user: &User) -> Result<Option<String>, KubeconfigError> {
        let Some(file) = &user.token_file else {
            return Ok(user.token.clone().filter(|token| !token.is_empty()));
        };
        let token = std::fs::read_to_string(file)
            .map_err(|e| self.wrong(format!("cannot read tokenFile {} of user {name:?}: {e}", file.display())))?;
        Ok(Some(token.trim().to_owned()))
    }

    fn find<'a, T: Entry>(&self, entries: &'a [Named<T>], name: &str) -> Result<&'a T, KubeconfigError> {
        let found = entries.iter().find(|entry| entry.name == name).map(|entry| &entry.content);
        found.ok_or_else(|| self.wrong(format!("there is no {} {name:?} ({})", T::WORD, known(entries))))
    }

    fn wrong(&self, what: String) -> KubeconfigError {
        KubeconfigError::Incomplete(format!("{}: {what}", self.shown()))
    }

    fn shown(&self) -> String {
        match self.origin.as_os_str().is_empty() {
            true => "the kubeconfig".to_owned(),
            false => format!("kubeconfig {}", self.origin.display()),
        }
    }
}

fn known<T>(entries: &[Named<T>]) -> String {
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) }
}
