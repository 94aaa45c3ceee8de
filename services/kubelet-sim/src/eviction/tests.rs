//! Tables of thresholds, looks, ranks and messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::lifecycle::admission::Pressure;

const MI: i64 = 1 << 20;
const NONE: &str = "";

fn parsed(hard: &str, soft: &str, grace: &str, reclaim: &str) -> Result<Vec<Threshold>, String> {
    thresholds(&hard.parse()?, &soft.parse()?, &grace.parse()?, &reclaim.parse()?)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn usage(containers: &[(&str, i64, i64)]) -> PodUsage {
    let one = |(name, memory, disk): &(&str, i64, i64)| ContainerUsage {
        name: (*name).to_owned(),
        memory: memory * MI,
        disk: disk * MI,
    };
    PodUsage { containers: containers.iter().map(one).collect(), volumes: BTreeMap::new() }
}

/// A node of 1000Mi memory and 1000Mi disk, of which so much is used.
fn observed(memory: i64, disk: i64) -> Observations {
    let capacities = Capacities { memory: 1000 * MI, memory_of_pods: 1000 * MI, disk: 1000 * MI, pids: 100 };
    observe(&capacities, [usage(&[("a", memory, 0)])].iter(), disk * MI)
}

fn pod(spec: &str) -> Pod {
    let json: serde_json::Value = serde_yaml_ng::from_str(spec).unwrap();
    let mut pod = Pod { spec: serde_json::from_value(json).unwrap(), ..Pod::default() };
    pod.metadata.name = "web".to_owned();
    pod
}

#[test]
fn thresholds_are_written_as_in_kubernetes() {
    let all = parsed(
        "memory.available<100Mi,nodefs.available<10%",
        "memory.available<300Mi",
        "memory.available=1m30s",
        "memory.available=50Mi,nodefs.available=5%",
    );
    let shown: Vec<String> = (all.unwrap().iter())
        .map(|t| format!("{} {:?} {:?}", t.signal.as_str(), t.grace, t.min_reclaim.is_some()))
        .collect();
    assert_eq!(
        shown,
        [
            "memory.available 0ns true",
            "nodefs.available 0ns true",
            "memory.available 90s true",
            "allocatableMemory.available 0ns true"
        ]
    );
    assert_eq!(parsed("memory.available<0%,nodefs.available<100%", NONE, NONE, NONE), Ok(Vec::new()), "turned off");
    for (hard, soft, grace, reclaim, complaint) in [
        ("cpu.available<1", NONE, NONE, NONE, "unsupported eviction signal cpu.available"),
        ("memory.available=1Mi", NONE, NONE, NONE, "has no '<'"),
        ("memory.available<much", NONE, NONE, NONE, "\"much\""),
        ("memory.available<-1Mi", NONE, NONE, NONE, "must be positive"),
        ("nodefs.available<120%", NONE, NONE, NONE, "between 0% and 100%"),
        (NONE, "memory.available<1Mi", NONE, NONE, "--eviction-soft: memory.available has no grace period"),
        (NONE, NONE, "memory.available=long", NONE, "must be a duration"),
        (NONE, NONE, NONE, "nodefs.available=0%", "must be positive"),
    ] {
        let error = parsed(hard, soft, grace, reclaim).unwrap_err();
        assert!(error.contains(complaint), "{hard} {soft} {grace} {reclaim}: {error}");
    }
}

#[test]
fn a_part_is_taken_of_the_capacity_with_kubernetes_arithmetic() {
    let all = parsed("nodefs.available<10%,imagefs.available<15%", NONE, NONE, NONE).unwrap();
    let capacity = api::quantity::Amount::new(100 << 30, api::quantity::Format::BinarySi);
    let amounts: Vec<i64> = all.iter().map(|threshold| threshold.value.of(capacity).value()).collect();
    // 0.1 and 0.15 as a float of 32 bits.
    assert_eq!(amounts, [10_737_418_400, 16_106_128_000]);
}

#[test]
fn s3_a_hard_threshold_acts_at_once_and_its_pressure_stays_for_a_while() {
    let hard = parsed("memory.available<100Mi", NONE, NONE, NONE).unwrap();
    let mut monitor = Monitor::new(hard, Duration::from_secs(300));
    let mut look = |used, second| {
        let Look { pressures, starved } = monitor.look(&observed(used, 0), at(second));
        (pressures.contains(&Pressure::Memory), starved.len())
    };
    assert_eq!(look(900, 0), (false, 0), "exactly the threshold is left");
    assert_eq!(look(901, 10), (true, 2), "of the node, and of what pods may have");
    assert_eq!(look(500, 20), (true, 0));
    assert_eq!(look(500, 309), (true, 0));
    assert_eq!(look(500, 310), (false, 0), "five minutes after it was last seen");
}

#[test]
fn s3_a_soft_threshold_is_borne_for_its_grace_period() {
    let soft = parsed(NONE, "memory.available<300Mi", "memory.available=1m", NONE).unwrap();
    let mut monitor = Monitor::new(soft, Duration::from_secs(300));
    let mut look = |used, second| {
        let Look { pressures, starved } = monitor.look(&observed(used, 0), at(second));
        (pressures.contains(&Pressure::Memory), starved.len())
    };
    assert_eq!(look(800, 0), (true, 0), "the pressure is told at once");
    assert_eq!(look(800, 59), (true, 0));
    assert_eq!(look(600, 60), (true, 0), "in time");
    assert_eq!(look(800, 70), (true, 0), "and from the beginning");
    assert_eq!(look(800, 130), (true, 1));
}

#[test]
fn a_node_goes_on_reclaiming_until_the_least_reclaim_is_there() {
    let hard = parsed("memory.available<100Mi", NONE, NONE, "memory.available=100Mi").unwrap();
    let mut monitor = Monitor::new(hard, Duration::from_secs(300));
    let mut starved = |used, second| !monitor.look(&observed(used, 0), at(second)).starved.is_empty();
    assert!(!starved(850, 0), "not begun");
    assert!(starved(950, 10));
    assert!(starved(850, 20), "50Mi more than the threshold are not enough");
    assert!(!starved(800, 30));
    assert!(!starved(850, 40), "over and done with");
}

#[test]
fn memory_is_reclaimed_before_disk() {
    let all = parsed("nodefs.available<10%,memory.available<100Mi,pid.available<50", NONE, NONE, NONE).unwrap();
    let mut monitor = Monitor::new(all, Duration::from_secs(300));
    let look = monitor.look(&observed(950, 950), at(0));
    assert_eq!(look.starved[0].signal.resource(), "memory");
    assert_eq!(look.pressures, [Pressure::Memory, Pressure::Disk].into());
}

#[test]
fn who_breaks_its_word_goes_first_then_the_lower_priority_then_who_uses_most() {
    let candidate = |name: &str, priority: i32, request: &str, used: Option<i64>| {
        let mut pod = pod(&format!(
            "{{priority: {priority}, containers: [{{name: a, image: x, resources: {{requests: {{memory: {request}}}}}}}]}}"
        ));
        pod.metadata.name = name.to_owned();
        pod.metadata.uid = name.to_owned();
        Candidate { pod: Arc::new(pod), usage: used.map(|used| usage(&[("a", used, used)])) }
    };
    let all = [
        candidate("kept", 0, "500Mi", Some(400)),
        candidate("kept-least", 0, "500Mi", Some(100)),
        candidate("kept-precious", 9, "500Mi", Some(500)),
        candidate("broken-precious", 9, "100Mi", Some(900)),
        candidate("broken", 0, "100Mi", Some(200)),
        candidate("broken-most", 0, "0", Some(150)),
        candidate("unknown", 9, "1Gi", None),
    ];
    let order = |resource: &str| {
        let mut all = all.to_vec();
        all.reverse();
        rank(&mut all, resource);
        all.iter().map(|candidate| candidate.pod.metadata.name.clone()).collect::<Vec<_>>()
    };
    let expected = ["unknown", "broken-most", "broken", "broken-precious", "kept", "kept-least", "kept-precious"];
    assert_eq!(order("memory"), expected);
    // Nobody asked for disk, so everybody breaks its word.
    let expected = ["unknown", "kept", "broken", "broken-most", "kept-least", "broken-precious", "kept-precious"];
    assert_eq!(order("ephemeral-storage"), expected);
    let expected = ["unknown", "broken", "broken-most", "kept", "kept-least", "broken-precious", "kept-precious"];
    assert_eq!(order("pids"), expected);
}

#[test]
fn s3_an_evicted_pod_is_told_what_was_short_and_who_used_it() {
    let hard = parsed("memory.available<100Mi,nodefs.available<10%", NONE, NONE, NONE).unwrap();
    let web = pod("{containers: [{name: a, image: x}, {name: b, image: x, resources: {requests: {memory: 64Mi}}}]}");
    let used = usage(&[("a", 900, 5), ("b", 64, 5)]);
    let say =
        |resource: &str, usage: Option<&PodUsage>| message::pressure(resource, &web, usage, &hard, &observed(964, 950));
    assert_eq!(
        say("memory", Some(&used)),
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 36Mi. Container a was using \
         900Mi, request is 0, has larger consumption of memory. "
    );
    assert_eq!(
        say("ephemeral-storage", Some(&used)),
        "The node was low on resource: ephemeral-storage. Threshold quantity: 104857601, available: 50Mi. Container a \
         was using 5Mi, request is 0, has larger consumption of ephemeral-storage. Container b was using 5Mi, request \
         is 0, has larger consumption of ephemeral-storage. "
    );
    assert_eq!(
        say("memory", None),
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 36Mi. "
    );
}

#[test]
fn s3_a_pod_over_its_storage_limit_goes_whatever_the_node_has() {
    let limited = "{volumes: [{name: cache, emptyDir: {sizeLimit: 10Mi}}], containers: [{name: a, image: x, \
                   resources: {limits: {ephemeral-storage: 20Mi}}}, {name: b, image: x}]}";
    let free = "{containers: [{name: a, image: x}]}";
    let table = [
        (free, 900, 0, None),
        (limited, 20, 0, None),
        (limited, 5, 11, Some("Usage of EmptyDir volume \"cache\" exceeds the limit \"10Mi\". ")),
        (limited, 15, 10, Some("Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. ")),
    ];
    for (spec, disk, volume, expected) in table {
        let mut usage = usage(&[("a", 0, disk)]);
        usage.volumes.insert("cache".to_owned(), volume * MI);
        assert_eq!(limits::exceeded(&pod(spec), &usage).as_deref(), expected, "{disk} {volume}");
    }
    let both =
        pod("{containers: [{name: a, image: x, resources: {limits: {ephemeral-storage: 20Mi}}}, {name: b, image: x, \
         resources: {limits: {ephemeral-storage: 20Mi}}}]}");
    let told = limits::exceeded(&both, &usage(&[("a", 0, 21), ("b", 0, 1)]));
    assert_eq!(told.as_deref(), Some("Container a exceeded its local ephemeral storage limit \"20Mi\". "));
}
