//! When a pod has to leave its node, without I/O and clock.

use api::core::v1::{Pod, Taint};
use api::pod_conditions::is_terminating;
use api::tolerations::{NO_EXECUTE, tolerates};
use jiff::{SignedDuration, Timestamp};

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may stay.
    Stays,
    /// It has to leave at this time, unless the taint goes before. Not after now: it has to leave at once.
    LeavesAt(Timestamp),
}

/// Decides for a pod on a node with these taints. `known_since` is when the pod was first found to be under them; it stands in for the
/// time of taints that do not say when they were added.
pub fn verdict(pod: &Pod, taints: &[Taint], known_since: Timestamp) -> Verdict {
    if is_terminating(pod) || pod.spec.node_name.is_empty() {
        return Verdict::Stays;
    }
    let deadlines = taints.iter().filter(|taint| taint.effect == NO_EXECUTE).filter_map(|taint| {
        let Some(toleration) = pod.spec.tolerations.iter().find(|toleration| tolerates(toleration, taint)) else {
            return Some(Timestamp::MIN);
        };
        // Without a time it is borne for ever.
        let seconds = toleration.toleration_seconds?;
        let added = taint.time_added.and_then(|time| time.timestamp()).unwrap_or(known_since);
        // A pod that came later has its full time.
        let since = created(pod).map_or(added, |created| created.max(added));
        Some(since.checked_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(Timestamp::MAX))
    });
    deadlines.min().map_or(Verdict::Stays, Verdict::LeavesAt)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp?.timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Toleration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn taint(key: &str, effect: &str, added: Option<i64>) -> Taint {
        Taint {
            key: key.to_owned(),
            effect: effect.to_owned(),
            time_added: added.map(|seconds| at(seconds).into()),
            ..Default::default()
        }
    }

    fn bears(key: &str, seconds: Option<i64>) -> Toleration {
        Toleration {
            key: key.to_owned(),
            operator: "Exists".to_owned(),
            toleration_seconds: seconds,
            ..Default::default()
        }
    }

    fn pod(tolerations: &[Toleration]) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.creation_timestamp = Some(at(-3600).into());
        pod.spec.node_name = "n1".to_owned();
        pod.spec.tolerations = tolerations.to_vec();
        pod
    }

    #[test]
    fn n2_a_pod_leaves_when_it_bears_a_taint_no_longer() {
        let lost = [taint("unreachable", "NoExecute", Some(0))];
        let both = [taint("unreachable", "NoExecute", Some(0)), taint("gpu", "NoExecute", None)];
        let table: [(&[Toleration], &[Taint], Verdict); 9] = [
            (&[], &[], Verdict::Stays),
            (&[], &[taint("x", "NoSchedule", Some(0))], Verdict::Stays),
            (&[], &lost, Verdict::LeavesAt(Timestamp::MIN)),
            (&[bears("unreachable", Some(300))], &lost, Verdict::LeavesAt(at(300))),
            (&[bears("unreachable", Some(0))], &lost, Verdict::LeavesAt(at(0))),
            (&[bears("unreachable", Some(-5))], &lost, Verdict::LeavesAt(at(0))),
            (&[bears("unreachable", None)], &lost, Verdict::Stays),
            (&[bears("unreachable", None), bears("gpu", Some(60))], &both, Verdict::LeavesAt(at(70))),
            (&[bears("unreachable", Some(300))], &both, Verdict::LeavesAt(Timestamp::MIN)),
        ];
        for (tolerations, taints, expected) in table {
            assert_eq!(verdict(&pod(tolerations), taints, at(10)), expected, "{tolerations:?} under {taints:?}");
        }
    }

    #[test]
    fn n2_a_pod_that_came_later_has_its_full_time() {
        let mut late = pod(&[bears("unreachable", Some(300))]);
        late.metadata.creation_timestamp = Some(at(100).into());
        let lost = [taint("unreachable", "NoExecute", Some(0))];
        assert_eq!(verdict(&late, &lost, at(100)), Verdict::LeavesAt(at(400)));
        late.metadata.deletion_timestamp = Some(at(120).into());
        assert_eq!(verdict(&late, &lost, at(100)), Verdict::Stays, "it leaves already");
    }
}
