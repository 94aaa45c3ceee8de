//! The entries of a kubeconfig's three lists.

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// An entry of one of the lists. In the file the content is called what it is: `cluster`, `user` or `context`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Named<T> {
    /// What other entries call it.
    pub name: String,
    /// The content.
    pub content: T,
}

/// Where an apiserver is and how to know it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Cluster {
    /// `https://host:port`.
    pub server: String,
    /// The name that the server's certificate must have; without it, the server's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// PEM file of the authority that signed the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<PathBuf>,
    /// The same in base64, in place; it takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// Members that we do not use.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// An identity: a client certificate or a token.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct User {
    /// PEM file of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// The same in base64, in place; it takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// PEM file of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// The same in base64, in place; it takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A file that holds one; it takes precedence. The one member whose name has no dashes.
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Members that we do not use.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl fmt::Debug for User {
    /// Shows nothing: what it holds is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(..)")
    }
}

/// A cluster and a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Context {
    /// Name of the cluster entry.
    pub cluster: String,
    /// Name of the user entry; empty is nobody.
    pub user: String,
    /// Namespace of commands that name none; empty is "default".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// What a list is a list of.
pub(super) trait Entry: Default {
    /// The name of the content in the file.
    const WORD: &'static str;
}

impl Entry for Cluster {
    const WORD: &'static str = "cluster";
}

impl Entry for User {
    const WORD: &'static str = "user";
}

impl Entry for Context {
    const WORD: &'static str = "context";
}

impl<T: Entry + Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(T::WORD, &self.content)?;
        map.serialize_entry("name", &self.name)?;
        map.end()
    }
}

impl<'de, T: Entry + DeserializeOwned> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entry = Map::<String, Value>::deserialize(deserializer)?;
        let Some(Value::String(name)) = entry.remove("name") else {
            return Err(D::Error::custom(format!("a {} has no name", T::WORD)));
        };
        let content = match entry.remove(T::WORD) {
            None | Some(Value::Null) => T::default(),
            // The error is told without the value, which may be a secret.
            Some(content) => T::deserialize(content)
                .map_err(|_| D::Error::custom(format!("{} {name:?} has a member of a wrong type", T::WORD)))?,
        };
        Ok(Named { name, content })
    }
}

/// kubectl writes empty lists as null.
pub(super) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
