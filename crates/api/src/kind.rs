//! What is common to all kinds: their names in the API, and their metadata.

use crate::json::Fields;
use crate::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt::Debug;

/// A kind that the apiserver serves. Implemented by the generated types only.
pub trait Resource:
    prost::Message + Fields + Serialize + DeserializeOwned + Default + Clone + Debug + PartialEq + 'static
{
    /// The names of the kind.
    const INFO: &'static KindInfo;

    /// Name, namespace, labels, revision.
    fn metadata(&self) -> &ObjectMeta;

    /// The same, to change it.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

/// How Kubernetes and our gRPC API name a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group: "v1".
    pub version: &'static str,
    /// "Pod".
    pub kind: &'static str,
    /// Resource name: "pods".
    pub plural: &'static str,
    /// "pod".
    pub singular: &'static str,
    /// What a user may type instead: "po".
    pub short_names: &'static [&'static str],
    /// Groups of kinds that a user may name at once: "all".
    pub categories: &'static [&'static str],
    /// False: cluster-wide.
    pub namespaced: bool,
    /// Full name of the gRPC service: "traceplane.v1.Pods".
    pub service: &'static str,
    /// Whether status is written apart from the rest.
    pub has_status: bool,
}

impl KindInfo {
    /// "v1", "apps/v1".
    pub fn api_version(&self) -> Cow<'static, str> {
        if self.group.is_empty() {
            Cow::Borrowed(self.version)
        } else {
            Cow::Owned(format!("{}/{}", self.group, self.version))
        }
    }

    /// The resource with its group, as error messages and rules name it: "pods", "deployments.apps".
    pub fn group_resource(&self) -> Cow<'static, str> {
        if self.group.is_empty() {
            Cow::Borrowed(self.plural)
        } else {
            Cow::Owned(format!("{}.{}", self.plural, self.group))
        }
    }

    /// Whether both name the same kind.
    pub fn same_kind(&self, other: &KindInfo) -> bool {
        self.kind == other.kind && self.group == other.group
    }
}

/// Something to do with a kind whose type is known only at run time; see [`crate::visit_kind`].
pub trait KindVisitor {
    /// What comes back.
    type Output;

    /// Called with the type of the kind.
    fn visit<K: Resource>(self) -> Self::Output;
}

/// The kind that a user means by a plural, singular, short or kind name, with or without its group (`deploy`, `deployments.apps`).
/// Case does not matter.
pub fn find_kind(name: &str) -> Option<&'static KindInfo> {
    let name = name.to_ascii_lowercase();
    let (resource, group) = name.split_once('.').map_or((name.as_str(), None), |(r, g)| (r, Some(g)));
    crate::KINDS.iter().copied().find(|k| {
        let named = k.plural == resource || k.singular == resource || k.short_names.contains(&resource);
        named
            && group.is_none_or(|g| {
                g == k.group || g.strip_prefix(k.version).and_then(|g| g.strip_prefix('.')) == Some(k.group)
            })
    })
}
