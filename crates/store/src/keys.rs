//! Where the store's own entries live, beside the objects.
//!
//! ```text
//! /registry/<resource>/<namespace>/<name>            objects
//! /registry/traceplane.dev/removals/<resource>       who removed the newest removed object of a resource
//! /registry/traceplane.dev/barrier                   written by barriers
//! ```
//!
//! Both lie under the root, so that the one watch over the root sees them, and outside every resource's
//! prefix, so that no list of objects does. To Kubernetes' own tools, which walk `/registry`, they look like
//! custom resources of the group `traceplane.dev`: envelopes that decode, of kinds they do not know.
//! A Kubernetes apiserver reads only the prefixes of the resources it serves, so it never meets them.
//!
//! Each is one key that is overwritten: the number of keys does not grow, and old values vanish with compaction.

use bytes::Bytes;
use prost::Message;

use crate::envelope::Envelope;
use crate::{Error, Result};

const GROUP: &str = "traceplane.dev/";
const REMOVALS: &str = "removals/";
const BARRIER: &str = "barrier";
const API_VERSION: &str = "traceplane.dev/v1";
const REMOVAL_KIND: &str = "Removal";

/// The keys under one root.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    root: String,
    own: String,
}

impl Keys {
    /// The keys under `root`; a missing slash at its end is added.
    pub(crate) fn new(root: &str) -> Self {
        let root = format!("{}/", root.trim_end_matches('/'));
        let own = format!("{root}{GROUP}");
        Self { root, own }
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// True for the store's own entries, which lists and watches hide.
    pub(crate) fn is_own(&self, key: &str) -> bool {
        key.starts_with(&self.own)
    }

    pub(crate) fn is_removal(&self, key: &str) -> bool {
        key.strip_prefix(&self.own).is_some_and(|k| k.starts_with(REMOVALS))
    }

    /// The key that records the removal of `key`: the first segment under the root is the resource.
    pub(crate) fn removal_of(&self, key: &str) -> String {
        let below = key.strip_prefix(&self.root).unwrap_or(key);
        let resource = below.split('/').next().unwrap_or(below);
        format!("{}{REMOVALS}{resource}", self.own)
    }

    pub(crate) fn barrier(&self) -> String {
        format!("{}{BARRIER}", self.own)
    }

    /// Refuses keys that no object can have, which would be a defect of the caller.
    pub(crate) fn check_key(&self, key: &str) -> Result<()> {
        let below = key.strip_prefix(&self.root).unwrap_or_default();
        if below.is_empty() || below.ends_with('/') || self.is_own(key) {
            return Err(Error::Internal(format!("{key:?} is not the key of an object under {}", self.root)));
        }
        Ok(())
    }

    /// Refuses prefixes that would also match the neighbours of what was meant (`pods` and `podsets`).
    pub(crate) fn check_prefix(&self, prefix: &str) -> Result<()> {
        if !prefix.starts_with(&self.root) || !prefix.ends_with('/') {
            return Err(Error::Internal(format!(
                "{prefix:?} is not a prefix under {} that ends with a slash",
                self.root
            )));
        }
        Ok(())
    }
}

/// The value of a removal record: an envelope that names the removed key.
pub(crate) fn removal_record(key: &str) -> Bytes {
    let removal = Removal { key: key.to_owned() };
    own_envelope(REMOVAL_KIND, removal.encode_to_vec().into())
}

/// The removed key that a removal record names.
pub(crate) fn removed_key(value: &Bytes) -> Option<String> {
    let envelope = Envelope::decode(value).ok()?;
    Removal::decode(envelope.raw).ok().map(|removal| removal.key)
}

/// The value that a barrier writes.
pub(crate) fn barrier_value() -> Bytes {
    own_envelope("Barrier", Bytes::new())
}

fn own_envelope(kind: &str, raw: Bytes) -> Bytes {
    Envelope { api_version: API_VERSION.to_owned(), kind: kind.to_owned(), raw }.encode()
}

#[derive(Clone, PartialEq, Message)]
struct Removal {
    #[prost(string, tag = "1")]
    key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_keys_lie_under_the_root_and_outside_every_resource() {
        let keys = Keys::new("/registry");
        let removal = keys.removal_of("/registry/pods/default/web-0");
        assert_eq!(removal, "/registry/traceplane.dev/removals/pods");
        assert!(removal.starts_with(keys.root()) && keys.is_own(&removal) && keys.is_removal(&removal));
        assert!(keys.is_own(&keys.barrier()) && !keys.is_removal(&keys.barrier()));
        assert!(!keys.is_own("/registry/traceplane.devices/a"));
    }

    #[test]
    fn only_keys_of_objects_are_accepted() {
        let keys = Keys::new("/registry/");
        assert!(keys.check_key("/registry/nodes/a").is_ok());
        for bad in ["", "/registry/", "/registry/pods/", "/other/pods/a", "/registry/traceplane.dev/barrier"] {
            assert!(keys.check_key(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(keys.check_prefix("/registry/pods/").is_ok());
        for bad in ["/registry/pods", "/other/", ""] {
            assert!(keys.check_prefix(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_removal_record_names_its_key() {
        let record = removal_record("/registry/pods/default/web-0");
        assert_eq!(removed_key(&record).as_deref(), Some("/registry/pods/default/web-0"));
        assert_eq!(removed_key(&barrier_value()).as_deref(), Some(""));
        assert_eq!(removed_key(&Bytes::from_static(b"{}")), None);
    }
}
