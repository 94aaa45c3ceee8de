//! Which of the feasible nodes a pod gets.

use std::sync::Arc;

use rand::Rng;
use telemetry::attr;
use telemetry::span::SpanExt;
use telemetry::span::scheduling::{self, ExtensionPoint, extension_point};

use crate::cache::{NodeInfo, Snapshot};
use crate::framework::{CycleState, Framework};
use crate::pod_info::PodInfo;

/// The node with the highest sum of weighted scores; of several, any with the same probability.
///
/// A single node is not scored: there is nothing to choose.
pub fn best<'s>(
    framework: &Framework,
    state: &mut CycleState,
    pod: &PodInfo,
    feasible: &[&'s Arc<NodeInfo>],
    snapshot: &Snapshot,
    rng: &mut impl Rng,
) -> Option<&'s Arc<NodeInfo>> {
    let chooses = feasible.len() > 1;
    if chooses {
        framework.pre_score(state, pod, feasible, snapshot);
    }
    let span = extension_point(ExtensionPoint::Score);
    span.in_scope(|| {
        let mut totals = vec![0_i64; feasible.len()];
        let mut scored = Vec::new();
        let scorers = if chooses { framework.scorers(state) } else { Vec::new() };
        for (plugin, weight) in scorers {
            let mut scores: Vec<_> = feasible.iter().map(|node| plugin.score(state, pod, node, snapshot)).collect();
            plugin.normalize(&mut scores);
            totals.iter_mut().zip(&scores).for_each(|(total, score)| *total += weight * score);
            scored.push((plugin.name(), weight, scores));
        }
        let index = highest(&totals, rng)?;
        let chosen = feasible[index];
        if !span.is_disabled() {
            for (plugin, weight, scores) in scored {
                let message = format!("{} scores {} of 100, weight {weight}", chosen.name(), scores[index]);
                scheduling::verdict(&span, plugin, "Success", feasible.len(), &message);
            }
            span.attr(attr::K8S_NODE_NAME, chosen.name().to_string());
            scheduling::nodes(&span, feasible.len(), 1);
        }
        Some(chosen)
    })
}

/// The index of a greatest value. In one pass: the n-th of equal values replaces the one held with probability 1/n, which makes
/// all of them equally likely.
fn highest(values: &[i64], rng: &mut impl Rng) -> Option<usize> {
    let mut held = None;
    let mut equal = 0_u32;
    for (index, value) in values.iter().enumerate() {
        match held {
            Some((_, best)) if *value < best => {}
            Some((_, best)) if *value == best => {
                equal += 1;
                if rng.random_ratio(1, equal) {
                    held = Some((index, *value));
                }
            }
            _ => {
                held = Some((index, *value));
                equal = 1;
            }
        }
    }
    held.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::testing::{framework, node, pod, snapshot_of};

    #[test]
    fn ties_are_broken_evenly_and_by_the_seed_alone() {
        let values = [3, 7, 1, 7, 7];
        let draw = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..3000).map(|_| highest(&values, &mut rng).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for index in [1, 3, 4] {
            let share = draw(7).into_iter().filter(|drawn| *drawn == index).count();
            assert!((900..1100).contains(&share), "{index} was drawn {share} times");
        }
        assert_eq!(highest(&[], &mut StdRng::seed_from_u64(0)), None);
    }

    #[test]
    fn the_weighted_sum_decides() {
        let nodes = [
            node("busy").running(pod("x").requests(&[("cpu", "3"), ("memory", "6Gi")])),
            node("free"),
            node("unwelcoming").taint("old", "", "PreferNoSchedule"),
        ];
        let snapshot = snapshot_of(&nodes);
        let feasible: Vec<_> = snapshot.nodes().iter().collect();
        let web = pod("web").requests(&[("cpu", "500m"), ("memory", "1Gi")]).info();
        let mut rng = StdRng::seed_from_u64(0);
        let chosen = best(&framework(), &mut CycleState::new(), &web, &feasible, &snapshot, &mut rng).unwrap();
        assert_eq!(&**chosen.name(), "free");
        let only = best(&framework(), &mut CycleState::new(), &web, &feasible[..1], &snapshot, &mut rng).unwrap();
        assert_eq!(only.name(), feasible[0].name());
    }
}
