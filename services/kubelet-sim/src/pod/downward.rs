//! The downward API: what a pod may learn of itself, as variables and as files.
//!
//! Pure. Which fields are allowed where is the apiserver's to validate; what is not known here is an error all the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector};
use api::quantity::Amount;
use api::resource::Quantity;

/// What of a pod is only known on its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The pod's address; empty while it has none.
    pub(super) pod_ip: &'a str,
    /// The node's.
    pub(super) host_ip: &'a str,
    /// What the node has for pods: the limit of whoever sets none.
    pub(super) allocatable: &'a BTreeMap<String, Quantity>,
}

/// A field of the pod.
pub(super) fn field(pod: &Pod, around: Surroundings<'_>, selector: &ObjectFieldSelector) -> Result<String, String> {
    let meta = &pod.metadata;
    let path = selector.field_path.as_str();
    let subscript = |of: &str, map: &BTreeMap<String, String>| {
        let key = path.strip_prefix(of)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(map.get(key).cloned().unwrap_or_default())
    };
    Ok(match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "metadata.labels" => lines(&meta.labels),
        "metadata.annotations" => lines(&meta.annotations),
        "spec.nodeName" => pod.spec.node_name.clone(),
        "spec.serviceAccountName" => pod.spec.service_account_name.clone(),
        "status.hostIP" | "status.hostIPs" => around.host_ip.to_owned(),
        "status.podIP" | "status.podIPs" => around.pod_ip.to_owned(),
        _ => subscript("metadata.labels", &meta.labels)
            .or_else(|| subscript("metadata.annotations", &meta.annotations))
            .ok_or_else(|| format!("unsupported fieldPath: {path}"))?,
    })
}

/// A container's requests or limits, in units of the divisor, rounded up. `own` is asked if the selector names no container.
pub(super) fn resource(
    pod: &Pod,
    own: Option<&Container>,
    around: Surroundings<'_>,
    selector: &ResourceFieldSelector,
) -> Result<String, String> {
    let name = selector.container_name.as_str();
    let named = || pod.spec.containers.iter().chain(&pod.spec.init_containers).find(|c| c.name == name);
    let container = if name.is_empty() { own } else { named() }.ok_or_else(|| format!("container {name} not found"))?;
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let asked = |list: &BTreeMap<String, Quantity>| list.get(resource).map(|quantity| quantity.amount_or_zero());
    let amount = match list {
        // Who has no limit may use what the node has.
        "limits" => asked(&container.resources.limits)
            .filter(|limit| !limit.is_zero())
            .or_else(|| asked(around.allocatable))
            .unwrap_or(Amount::ZERO),
        "requests" => asked(&container.resources.requests).unwrap_or(Amount::ZERO),
        _ => return Err(unsupported()),
    };
    let divisor = Some(selector.divisor.amount_or_zero()).filter(|amount| !amount.is_zero());
    let (amount, divisor) = if resource == "cpu" {
        (amount.milli_value(), divisor.map_or(1_000, |divisor| divisor.milli_value()))
    } else {
        (amount.value(), divisor.map_or(1, |divisor| divisor.value()))
    };
    let divisor = divisor.max(1);
    Ok((amount / divisor + i64::from(amount % divisor > 0)).to_string())
}

/// Labels or annotations as a file shows them: `key="value"`, a line each, in order.
fn lines(map: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in map {
        let _ = writeln!(text, "{key}={}", quoted(value));
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

/// A string as Go's `%q` writes it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            _ if (c as u32) < 0x80 && c.is_control() => drop(write!(out, "\\x{:02x}", c as u32)),
            _ if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(allocatable: &BTreeMap<String, Quantity>) -> Surroundings<'_> {
        Surroundings { pod_ip: "10.0.0.1", host_ip: "192.168.0.1", allocatable }
    }

    #[test]
    fn a_pod_knows_the_usual_fields_of_itself() {
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        pod.metadata.labels.insert("app".to_owned(), "x".to_owned());
        pod.metadata.annotations.insert("b".to_owned(), "two\nlines \"quoted\"".to_owned());
        pod.metadata.annotations.insert("a".to_owned(), "\u{1}ü".to_owned());
        let nothing = BTreeMap::new();
        let get = |path: &str| {
            field(&pod, around(&nothing), &ObjectFieldSelector { field_path: path.to_owned(), ..Default::default() })
        };
        for (path, expected) in [
            ("metadata.name", "web"),
            ("metadata.labels['app']", "x"),
            ("metadata.annotations['none']", ""),
            ("metadata.labels", "app=\"x\""),
            ("metadata.annotations", "a=\"\\x01ü\"\nb=\"two\\nlines \\\"quoted\\\"\""),
            ("status.podIP", "10.0.0.1"),
            ("status.hostIP", "192.168.0.1"),
        ] {
            assert_eq!(get(path).unwrap(), expected, "{path}");
        }
        assert_eq!(get("spec.replicas").unwrap_err(), "unsupported fieldPath: spec.replicas");
    }

    #[test]
    fn amounts_are_divided_and_rounded_up_and_without_a_limit_the_nodes_counts() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [
            {"name": "c", "resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "100Mi"}}},
        ]}}))
        .unwrap();
        let allocatable: BTreeMap<String, Quantity> =
            serde_json::from_value(serde_json::json!({"cpu": "4", "memory": "1Gi"})).unwrap();
        let get = |resource: &str, divisor: &str| {
            let selector = serde_json::json!({"containerName": "c", "resource": resource, "divisor": divisor});
            resource_of(&pod, &allocatable, &serde_json::from_value(selector).unwrap())
        };
        for (resource, divisor, expected) in [
            ("limits.cpu", "0", "2"),
            ("limits.cpu", "1m", "1500"),
            ("limits.memory", "1Mi", "1024"),
            ("requests.memory", "0", "104857600"),
            ("requests.memory", "1Gi", "1"),
            ("requests.cpu", "1", "0"),
        ] {
            assert_eq!(get(resource, divisor).unwrap(), expected, "{resource} {divisor}");
        }
        assert_eq!(get("cpu", "1").unwrap_err(), "unsupported container resource : cpu");
    }

    fn resource_of(
        pod: &Pod,
        allocatable: &BTreeMap<String, Quantity>,
        selector: &ResourceFieldSelector,
    ) -> Result<String, String> {
        resource(pod, None, around(allocatable), selector)
    }
}
