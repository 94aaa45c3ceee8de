//! Who is taken, who is not, and in which words.

use super::*;

fn node() -> Node {
    let json = serde_json::json!({
        "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
        "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "3", "ephemeral-storage": "1Gi", "example.com/gpu": "1"}},
    });
    serde_json::from_value(json).unwrap()
}

fn pod(spec: &str) -> Pod {
    let json: serde_json::Value = serde_yaml_ng::from_str(spec).unwrap();
    Pod { spec: serde_json::from_value(json).unwrap(), ..Pod::default() }
}

fn asking(requests: &str) -> Pod {
    pod(&format!("{{containers: [{{name: a, image: x, resources: {{requests: {{{requests}}}}}}}]}}"))
}

/// A node on which one pod took these.
fn taken_by(first: &Pod) -> Allocation {
    let mut allocation = Allocation::of(&node());
    allocation.take(&requests(&first.spec), &host_ports(&first.spec));
    allocation
}

fn refused(pod: &Pod, node: &Node, health: &Health, allocation: &Allocation) -> String {
    admit(pod, node, health, allocation).map_or_else(|rejection| rejection.to_string(), |()| String::new())
}

#[test]
fn s3_resources_that_are_taken_refuse_a_pod_in_kubernetes_words() {
    let table = [
        ("cpu: 400m", "cpu: 600m", ""),
        (
            "cpu: 600m",
            "cpu: 600m",
            "OutOfcpu: Node didn't have enough resource: cpu, requested: 600, used: 600, capacity: 1000",
        ),
        (
            "memory: 1Gi",
            "memory: 1Mi",
            "OutOfmemory: Node didn't have enough resource: memory, requested: 1048576, used: 1073741824, capacity: 1073741824",
        ),
        (
            "cpu: 1",
            "ephemeral-storage: 2Gi",
            "OutOfephemeral-storage: Node didn't have enough resource: ephemeral-storage, requested: 2147483648, used: 0, capacity: 1073741824",
        ),
        (
            "example.com/gpu: 1",
            "example.com/gpu: 1",
            "OutOfexample.com/gpu: Node didn't have enough resource: example.com/gpu, requested: 1, used: 1, capacity: 1",
        ),
        // What the node does not know may be the cluster's.
        ("cpu: 1", "example.com/licence: 1", ""),
        (
            "cpu: 1",
            "hugepages-2Mi: 2Mi",
            "OutOfhugepages-2Mi: Node didn't have enough resource: hugepages-2Mi, requested: 2097152, used: 0, capacity: 0",
        ),
    ];
    for (first, second, expected) in table {
        let refusal = refused(&asking(second), &node(), &Health::default(), &taken_by(&asking(first)));
        assert_eq!(refusal, expected, "{second} after {first}");
    }
    let mut full = taken_by(&asking(""));
    full.pods = 3;
    let refusal = refused(&asking(""), &node(), &Health::default(), &full);
    assert_eq!(refusal, "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3");
}

#[test]
fn s3_labels_ports_and_taints_refuse_a_pod_in_kubernetes_words() {
    const AFFINITY: &str =
        "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
    const PORTS: &str =
        "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
    const TAINTS: &str =
        "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate";
    let required = |key: &str| {
        format!(
            "{{affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: \
             [{{matchExpressions: [{{key: {key}, operator: Exists}}]}}]}}}}}}, containers: [{{name: a, image: x}}]}}"
        )
    };
    let port = |port: &str| format!("{{containers: [{{name: a, image: x, ports: [{{containerPort: 80, {port}}}]}}]}}");
    let web = pod(&port("hostPort: 8080"));
    let tolerant =
        "{tolerations: [{key: gone, operator: Exists, effect: NoExecute}], containers: [{name: a, image: x}]}";
    let table = [
        ("", "{nodeSelector: {disk: ssd}, containers: [{name: a, image: x}]}".to_owned(), ""),
        ("", "{nodeSelector: {disk: hdd}, containers: [{name: a, image: x}]}".to_owned(), AFFINITY),
        ("", required("disk"), ""),
        ("", required("gpu"), AFFINITY),
        ("", port("hostPort: 8081"), ""),
        ("", port("hostPort: 8080"), PORTS),
        ("", port("hostPort: 8080, protocol: UDP"), ""),
        ("", port("hostPort: 8080, hostIP: 10.0.0.1"), PORTS),
        // Only those that would end it, too.
        ("NoSchedule", "{containers: [{name: a, image: x}]}".to_owned(), ""),
        ("NoExecute", "{containers: [{name: a, image: x}]}".to_owned(), TAINTS),
        ("NoExecute", tolerant.to_owned(), ""),
    ];
    for (effect, spec, expected) in table {
        let mut node = node();
        if !effect.is_empty() {
            let taint = Taint { key: "gone".to_owned(), effect: effect.to_owned(), ..Taint::default() };
            node.spec.taints.push(taint);
        }
        assert_eq!(refused(&pod(&spec), &node, &Health::default(), &taken_by(&web)), expected, "{effect} {spec}");
    }
}

#[test]
fn of_several_objections_the_first_is_told_and_resources_come_first() {
    let greedy = pod("{nodeSelector: {disk: hdd}, containers: [{name: a, image: x, resources: {requests: {cpu: 2}}}]}");
    let allocation = Allocation::of(&node());
    assert!(refused(&greedy, &node(), &Health::default(), &allocation).starts_with("OutOfcpu"));
    let windows = pod("{os: {name: windows}, containers: [{name: a, image: x, resources: {requests: {cpu: 2}}}]}");
    assert_eq!(
        refused(&windows, &node(), &Health::default(), &allocation),
        "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS"
    );
}

#[test]
fn s3_a_node_under_pressure_refuses_what_makes_it_worse() {
    const MEMORY: &str = "Evicted: The node had condition: [MemoryPressure]. ";
    let best_effort = || pod("{containers: [{name: a, image: x}]}");
    let tolerant = pod(
        "{tolerations: [{key: node.kubernetes.io/memory-pressure, operator: Exists}], containers: [{name: a, image: x}]}",
    );
    let critical = pod("{priority: 2000000000, containers: [{name: a, image: x}]}");
    let modest = asking("memory: 1Mi");
    use Pressure::{Disk, Memory, Pid};
    let table: [(&[Pressure], &Pod, &str); 8] = [
        (&[], &best_effort(), ""),
        (&[Memory], &best_effort(), MEMORY),
        (&[Memory], &modest, ""),
        (&[Memory], &tolerant, ""),
        (&[Memory], &critical, ""),
        (&[Disk], &modest, "Evicted: The node had condition: [DiskPressure]. "),
        (&[Memory, Disk], &tolerant, "Evicted: The node had condition: [MemoryPressure DiskPressure]. "),
        (&[Pid], &critical, ""),
    ];
    for (pressures, pod, expected) in table {
        let health = Health { pressures: pressures.iter().copied().collect(), shutting_down: false };
        assert_eq!(refused(pod, &node(), &health, &Allocation::of(&node())), expected, "{pressures:?} {:?}", pod.spec);
    }
}

#[test]
fn a_node_that_shuts_down_takes_nothing_more() {
    let health = Health { shutting_down: true, ..Health::default() };
    let rejection = admit(&asking(""), &node(), &health, &Allocation::of(&node())).unwrap_err();
    assert_eq!(rejection.to_string(), "NodeShutdown: Pod was rejected as the node is shutting down.");
    let ended = Ended::from(rejection);
    assert_eq!(ended.message, "Pod was rejected: Pod was rejected as the node is shutting down.");
}
