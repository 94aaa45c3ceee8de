//! W5: rollouts under every interleaving of what their parts do. Each part acts on what it last saw, whenever it gets to it.

use super::bounds::Bounds;
use super::testing::{World, rolling, set_version};
use proptest::prelude::*;

/// A pod as far as a rollout cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pod {
    Starting,
    Available,
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// The deployment controller runs.
    Sync,
    /// The replicaset controller runs for this ReplicaSet: it makes or deletes pods.
    Scale(usize),
    /// It writes that ReplicaSet's status.
    Report(usize),
    /// A pod of that ReplicaSet becomes available.
    Start(usize),
    /// A user changes the template.
    NewTemplate(u8),
    /// A user scales.
    Resize(i32),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => Just(Happens::Sync),
        6 => (0..4_usize).prop_map(Happens::Scale),
        6 => (0..4_usize).prop_map(Happens::Report),
        8 => (0..4_usize).prop_map(Happens::Start),
        1 => (0..3_u8).prop_map(Happens::NewTemplate),
    ]
}

/// A Deployment, its ReplicaSets, and the pods that really are.
#[derive(Debug)]
struct Cluster {
    world: World,
    /// By ReplicaSet, in the order of `world.sets`.
    pods: Vec<Vec<Pod>>,
}

impl Cluster {
    fn of(replicas: i32, surge: i32, unavailable: i32) -> Cluster {
        let mut world = World::new(rolling(replicas, surge.into(), unavailable.into()));
        world.settle();
        let pods = vec![vec![Pod::Available; usize::try_from(replicas).unwrap()]];
        Cluster { world, pods }
    }

    fn next(&mut self, event: Happens) {
        match event {
            Happens::Sync => {
                let deleted = self.world.plan().delete;
                for name in deleted.iter().map(|set| &set.metadata.name) {
                    let position = self.world.sets.iter().position(|set| &set.metadata.name == name).unwrap();
                    assert!(self.pods.remove(position).is_empty(), "a ReplicaSet with pods was deleted");
                }
                self.world.sync();
                self.pods.resize(self.world.sets.len(), Vec::new());
            }
            Happens::Scale(index) => {
                let Some(set) = self.world.sets.get(index) else { return };
                let wanted = usize::try_from(set.spec.replicas.unwrap()).unwrap();
                let pods = &mut self.pods[index];
                // Pods that serve nobody are deleted first.
                pods.sort_by_key(|pod| std::cmp::Reverse(*pod));
                pods.truncate(wanted);
                pods.resize(wanted, Pod::Starting);
            }
            Happens::Report(index) => {
                let Some(set) = self.world.sets.get_mut(index) else { return };
                let pods = &self.pods[index];
                let available = pods.iter().filter(|pod| **pod == Pod::Available).count();
                // Pods that it is about to delete are not counted.
                let size = set.spec.replicas.unwrap();
                set.status.replicas = size.min(i32::try_from(pods.len()).unwrap());
                set.status.ready_replicas = size.min(i32::try_from(available).unwrap());
                set.status.available_replicas = set.status.ready_replicas;
                set.status.observed_generation = set.metadata.generation;
            }
            Happens::Start(index) => {
                if let Some(pod) = self.pods.get_mut(index).and_then(|p| p.iter_mut().find(|p| **p == Pod::Starting)) {
                    *pod = Pod::Available;
                }
            }
            Happens::NewTemplate(version) => set_version(&mut self.world.deployment, &version.to_string()),
            Happens::Resize(replicas) => {
                self.world.deployment.spec.replicas = Some(replicas);
                self.world.deployment.metadata.generation += 1;
            }
        }
        self.world.now += jiff::SignedDuration::from_secs(1);
    }

    fn available(&self) -> i32 {
        i32::try_from(self.pods.iter().flatten().filter(|pod| **pod == Pod::Available).count()).unwrap()
    }

    fn asked_for(&self) -> i32 {
        self.world.sizes().iter().map(|(_, size)| size).sum()
    }

    /// Everybody gets their turn until the rollout is done.
    fn converge(&mut self) {
        for _ in 0..200 {
            for index in 0..self.world.sets.len() {
                self.next(Happens::Scale(index));
                self.pods[index].clone().iter().for_each(|_| self.next(Happens::Start(index)));
                self.next(Happens::Report(index));
            }
            let plan = self.world.plan();
            if plan.status.is_none() && !plan.changes_replica_sets() && plan.delete.is_empty() {
                return;
            }
            self.next(Happens::Sync);
        }
        panic!("no end: {:?} {:#?}", self.world.sizes(), self.world.plan());
    }

    fn assert_done(&self) {
        let deployment = &self.world.deployment;
        assert!(super::status::is_complete(deployment, &deployment.status), "{:#?}", deployment.status);
        assert_eq!(self.available(), deployment.spec.replicas.unwrap());
        assert_eq!(self.world.condition("Progressing"), Some(("True", "NewReplicaSetAvailable")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn w5_a_rollout_never_leaves_its_bounds_and_always_ends(
        (replicas, surge, unavailable) in (1..8_i32, 0..4_i32, 0..4_i32),
        events in prop::collection::vec(happens(), 0..120),
    ) {
        let mut cluster = Cluster::of(replicas, surge, unavailable);
        let bounds = Bounds::of(&cluster.world.deployment);
        cluster.next(Happens::NewTemplate(9));
        for event in events {
            cluster.next(event);
            prop_assert!(cluster.available() >= bounds.min_available(), "{event:?} left too few: {cluster:#?}");
            prop_assert!(cluster.asked_for() <= bounds.max_total(), "{event:?} asked for too many: {cluster:#?}");
        }
        cluster.converge();
        cluster.assert_done();
    }

    #[test]
    fn w5_scaling_at_any_moment_ends_at_the_new_size(
        (replicas, resized, surge) in (0..8_i32, 0..8_i32, 0..4_i32),
        before in prop::collection::vec(happens(), 0..60),
        after in prop::collection::vec(happens(), 0..60),
    ) {
        let mut cluster = Cluster::of(replicas, surge, 1);
        cluster.next(Happens::NewTemplate(9));
        before.into_iter().for_each(|event| cluster.next(event));
        cluster.next(Happens::Resize(resized));
        after.into_iter().for_each(|event| cluster.next(event));
        cluster.converge();
        cluster.assert_done();
    }
}
