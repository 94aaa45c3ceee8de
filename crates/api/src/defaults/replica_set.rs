//! ReplicaSets: one replica.

use super::pod_template;
use crate::apps::v1::ReplicaSet;

/// Sets the defaults of a ReplicaSet.
pub fn replica_set(replica_set: &mut ReplicaSet) {
    replica_set.spec.replicas.get_or_insert(1);
    pod_template(&mut replica_set.spec.template);
}
