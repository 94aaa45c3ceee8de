//! Which [taints](https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/) of a node a pod bears.
//!
//! The scheduler asks it to place a pod, the node lifecycle controller to evict one, and the kubelet to admit one.

use crate::core::v1::{Taint, Toleration};

/// Keeps new pods away.
pub const NO_SCHEDULE: &str = "NoSchedule";
/// Keeps new pods away where that is possible.
pub const PREFER_NO_SCHEDULE: &str = "PreferNoSchedule";
/// Keeps new pods away, and ends those that are there.
pub const NO_EXECUTE: &str = "NoExecute";

/// True if a toleration bears a taint.
///
/// What the toleration leaves open (its effect, or its key with `Exists`) matches anything.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let open_or = |mine: &str, theirs: &str| mine.is_empty() || mine == theirs;
    open_or(&toleration.effect, &taint.effect)
        && open_or(&toleration.key, &taint.key)
        && match toleration.operator.as_str() {
            "" | "Equal" => toleration.value == taint.value,
            "Exists" => true,
            _ => false,
        }
}

/// Returns the first taint of one of these effects that none of the tolerations bears.
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], effects: &[&str]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: value.into(), effect: effect.into(), ..Default::default() }
    }

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        Toleration {
            key: key.into(),
            operator: operator.into(),
            value: value.into(),
            effect: effect.into(),
            ..Default::default()
        }
    }

    #[test]
    fn what_a_toleration_leaves_open_matches_anything() {
        let gpu = taint("gpu", "a100", NO_SCHEDULE);
        let table = [
            (toleration("gpu", "Equal", "a100", NO_SCHEDULE), true),
            (toleration("gpu", "", "a100", ""), true),
            (toleration("gpu", "Exists", "", ""), true),
            (toleration("", "Exists", "", ""), true),
            (toleration("", "Exists", "", NO_EXECUTE), false),
            (toleration("gpu", "Equal", "h100", NO_SCHEDULE), false),
            (toleration("gpu", "Equal", "a100", NO_EXECUTE), false),
            (toleration("cpu", "Exists", "", ""), false),
            (toleration("gpu", "Like", "a100", ""), false),
        ];
        for (toleration, want) in table {
            assert_eq!(tolerates(&toleration, &gpu), want, "{toleration:?}");
        }
    }

    #[test]
    fn only_taints_of_the_asked_effects_count() {
        let taints = [taint("a", "", PREFER_NO_SCHEDULE), taint("b", "", NO_SCHEDULE), taint("c", "", NO_EXECUTE)];
        let bears_b = [toleration("b", "Exists", "", "")];
        let found = |tolerations, effects| untolerated(&taints, tolerations, effects).map(|t| t.key.as_str());
        assert_eq!(found(&[], &[NO_SCHEDULE, NO_EXECUTE]), Some("b"));
        assert_eq!(found(&bears_b, &[NO_SCHEDULE, NO_EXECUTE]), Some("c"));
        assert_eq!(found(&bears_b, &[NO_SCHEDULE]), None);
        assert_eq!(found(&[], &[PREFER_NO_SCHEDULE]), Some("a"));
    }
}
