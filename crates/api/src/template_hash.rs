//! The [`pod-template-hash`](https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label)
//! that tells a Deployment's ReplicaSets apart.
//!
//! The hash is FNV-1a (32 bits) over the protobuf encoding of the template, in which fields stand in the order of
//! their numbers and maps in the order of their keys, so equal templates have equal hashes in every process. Its value
//! differs from Kubernetes', which hashes a dump of Go structs, and may change when the API grows a field.
//! Therefore nobody may find a ReplicaSet by its hash: controllers compare templates, and the hash only makes
//! names and labels.

use prost::Message;

use crate::core::v1::PodTemplateSpec;
use crate::names::safe_encode;

/// The label, on ReplicaSets, their selectors, and pods.
pub const LABEL: &str = "pod-template-hash";

/// Returns the hash of a template, fit for names and labels.
///
/// `collision_count` comes from the Deployment's status: it grows whenever the resulting name turns out to be taken
/// by a ReplicaSet of another template, and makes the next try differ.
pub fn template_hash(template: &PodTemplateSpec, collision_count: Option<i32>) -> String {
    let mut hash = fnv1a(FNV_OFFSET, &template.encode_to_vec());
    if let Some(count) = collision_count {
        hash = fnv1a(hash, &count.to_le_bytes());
    }
    safe_encode(&hash.to_string())
}

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

fn fnv1a(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::v1::Container;

    #[test]
    fn the_hash_function_is_fnv1a() {
        assert_eq!(fnv1a(FNV_OFFSET, b""), 0x811c_9dc5);
        assert_eq!(fnv1a(FNV_OFFSET, b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn equal_templates_have_equal_hashes_and_others_differ() {
        let mut template = PodTemplateSpec::default();
        template.metadata.labels = [("b", "2"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let hash = template_hash(&template, None);
        assert_eq!(template_hash(&template.clone(), None), hash);
        assert!(hash.len() <= 10 && hash.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)), "{hash}");

        assert_ne!(template_hash(&template, Some(0)), hash);
        assert_ne!(template_hash(&template, Some(0)), template_hash(&template, Some(1)));
        template.spec.containers.push(Container { image: "nginx".into(), ..Default::default() });
        assert_ne!(template_hash(&template, None), hash);
    }
}
