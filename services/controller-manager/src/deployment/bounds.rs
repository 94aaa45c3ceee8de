//! How far a rollout may stray from the number of replicas that is asked for.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment>

use api::apps::v1::Deployment;

/// Kubernetes' default for both bounds.
const DEFAULT_PERCENT: &str = "25%";

/// The numbers behind `spec.replicas`, `maxSurge` and `maxUnavailable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Replicas asked for.
    pub(super) replicas: i32,
    /// Pods beyond them that may exist during a rollout.
    pub(super) surge: i32,
    /// Replicas of them that may be missing during a rollout.
    pub(super) unavailable: i32,
}

impl Bounds {
    pub(super) fn of(deployment: &Deployment) -> Bounds {
        let replicas = deployment.spec.replicas.unwrap_or(1);
        if is_recreate(deployment) {
            return Bounds { replicas, surge: 0, unavailable: 0 };
        }
        let default = DEFAULT_PERCENT.into();
        let rolling = deployment.spec.strategy.rolling_update.as_ref();
        let surge = rolling.and_then(|r| r.max_surge.as_ref()).unwrap_or(&default);
        let unavailable = rolling.and_then(|r| r.max_unavailable.as_ref()).unwrap_or(&default);
        let surge = surge.share_rounded_up(replicas).unwrap_or(0);
        let mut unavailable = unavailable.share_rounded_down(replicas).unwrap_or(0);
        if surge == 0 && unavailable == 0 {
            // Small percentages of few replicas both come to nothing, and the rollout could never begin.
            unavailable = 1;
        }
        Bounds { replicas, surge, unavailable: unavailable.min(replicas) }
    }

    /// The most pods that may exist.
    pub(super) fn max_total(self) -> i32 {
        self.replicas.saturating_add(self.surge)
    }

    /// The fewest pods that must be available.
    pub(super) fn min_available(self) -> i32 {
        self.replicas - self.unavailable
    }
}

/// Whether all old pods go before any new one comes.
pub(super) fn is_recreate(deployment: &Deployment) -> bool {
    deployment.spec.strategy.r#type == "Recreate"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::testing::rolling;

    #[test]
    fn w5_surge_is_rounded_up_and_unavailable_down() {
        let table = [
            (10, "25%", "25%", 3, 2),
            (3, "25%", "25%", 1, 0),
            (4, "0%", "25%", 0, 1),
            (1, "0%", "25%", 0, 1),
            (10, "0%", "1%", 0, 1),
            (2, "100%", "0%", 2, 0),
            (3, "0%", "200%", 0, 3),
            (0, "25%", "25%", 0, 0),
        ];
        for (replicas, max_surge, max_unavailable, surge, unavailable) in table {
            let bounds = Bounds::of(&rolling(replicas, max_surge.into(), max_unavailable.into()));
            assert_eq!(bounds, Bounds { replicas, surge, unavailable }, "{replicas} +{max_surge} -{max_unavailable}");
        }
    }

    #[test]
    fn w5_without_numbers_a_quarter_counts_and_recreate_has_none() {
        let mut deployment = rolling(8, 0.into(), 0.into());
        deployment.spec.strategy.rolling_update = None;
        assert_eq!(Bounds::of(&deployment), Bounds { replicas: 8, surge: 2, unavailable: 2 });
        deployment.spec.strategy.r#type = "Recreate".to_owned();
        assert_eq!(Bounds::of(&deployment), Bounds { replicas: 8, surge: 0, unavailable: 0 });
    }
}
