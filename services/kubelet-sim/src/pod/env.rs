//! A container's environment: literal values, fields of the pod, config maps and secrets, and `$(NAME)` in all of them.
//!
//! Variables that describe services (`enableServiceLinks`) are not made.

use std::collections::BTreeMap;

use api::core::v1::{Container, EnvVarSource, ObjectFieldSelector, Pod, ResourceFieldSelector};
use api::quantity::Amount;

use super::PodApi;

/// Works out the environment, in the order of definition. The error is what `CreateContainerConfigError` shows.
pub(super) async fn environment(
    api: &dyn PodApi,
    pod: &Pod,
    container: &Container,
    addresses: &Addresses<'_>,
) -> Result<Vec<(String, String)>, String> {
    let mut env: Vec<(String, String)> = Vec::new();
    for source in &container.env_from {
        let mut take = |values: BTreeMap<String, String>| {
            for (key, value) in values {
                set(&mut env, format!("{}{key}", source.prefix), value);
            }
        };
        if let Some(map) = &source.config_map_ref {
            take(config_map(api, pod, &map.local_object_reference.name, map.optional).await?.unwrap_or_default());
        }
        if let Some(wanted) = &source.secret_ref {
            take(secret(api, pod, &wanted.local_object_reference.name, wanted.optional).await?.unwrap_or_default());
        }
    }
    for variable in &container.env {
        let value = match &variable.value_from {
            None => Some(expand(&variable.value, &env)),
            Some(source) => value_from(api, pod, container, addresses, source).await?,
        };
        if let Some(value) = value {
            set(&mut env, variable.name.clone(), value);
        }
    }
    Ok(env)
}

/// What of the environment is only known on the node.
pub(super) struct Addresses<'a> {
    pub(super) pod_ip: &'a str,
    pub(super) host_ip: &'a str,
}

fn set(env: &mut Vec<(String, String)>, name: String, value: String) {
    match env.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => env.push((name, value)),
    }
}

async fn value_from(
    api: &dyn PodApi,
    pod: &Pod,
    container: &Container,
    addresses: &Addresses<'_>,
    source: &EnvVarSource,
) -> Result<Option<String>, String> {
    if let Some(selector) = &source.field_ref {
        return field(pod, addresses, selector).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return resource(pod, container, selector).map(Some);
    }
    let (kind, name, key, optional, values) = if let Some(wanted) = &source.config_map_key_ref {
        let name = &wanted.local_object_reference.name;
        let values = config_map(api, pod, name, wanted.optional).await?;
        ("ConfigMap", name, &wanted.key, wanted.optional, values)
    } else if let Some(wanted) = &source.secret_key_ref {
        let name = &wanted.local_object_reference.name;
        ("Secret", name, &wanted.key, wanted.optional, secret(api, pod, name, wanted.optional).await?)
    } else {
        return Ok(None);
    };
    let value = values.and_then(|mut values| values.remove(key));
    if value.is_none() && optional != Some(true) {
        return Err(format!("couldn't find key {key} in {kind} {}/{name}", pod.metadata.namespace));
    }
    Ok(value)
}

async fn config_map(
    api: &dyn PodApi,
    pod: &Pod,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<BTreeMap<String, String>>, String> {
    match api.config_map(&pod.metadata.namespace, name).await {
        Ok(map) => Ok(Some(map.data)),
        Err(error) if error.is_not_found() && optional == Some(true) => Ok(None),
        Err(error) if error.is_not_found() => Err(format!("configmap {name:?} not found")),
        Err(error) => Err(error.message),
    }
}

async fn secret(
    api: &dyn PodApi,
    pod: &Pod,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<BTreeMap<String, String>>, String> {
    match api.secret(&pod.metadata.namespace, name).await {
        Ok(secret) => {
            let text =
                |(key, bytes): (String, _)| (key, String::from_utf8_lossy(AsRef::<[u8]>::as_ref(&bytes)).into_owned());
            Ok(Some(secret.data.into_iter().map(text).collect()))
        }
        Err(error) if error.is_not_found() && optional == Some(true) => Ok(None),
        Err(error) if error.is_not_found() => Err(format!("secret {name:?} not found")),
        Err(error) => Err(error.message),
    }
}

/// The downward API's fields.
fn field(pod: &Pod, addresses: &Addresses<'_>, selector: &ObjectFieldSelector) -> Result<String, String> {
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
        "spec.nodeName" => pod.spec.node_name.clone(),
        "spec.serviceAccountName" => pod.spec.service_account_name.clone(),
        "status.hostIP" | "status.hostIPs" => addresses.host_ip.to_owned(),
        "status.podIP" | "status.podIPs" => addresses.pod_ip.to_owned(),
        _ => subscript("metadata.labels", &meta.labels)
            .or_else(|| subscript("metadata.annotations", &meta.annotations))
            .ok_or_else(|| format!("unsupported fieldPath: {path}"))?,
    })
}

/// A container's own requests and limits, in units of the divisor.
fn resource(pod: &Pod, own: &Container, selector: &ResourceFieldSelector) -> Result<String, String> {
    let named = |name: &str| pod.spec.containers.iter().chain(&pod.spec.init_containers).find(|c| c.name == name);
    let container = match selector.container_name.as_str() {
        "" => own,
        name => named(name).ok_or_else(|| format!("container {name} not found"))?,
    };
    let (list, resource) = selector.resource.split_once('.').unwrap_or_default();
    let list = match list {
        "limits" => &container.resources.limits,
        "requests" => &container.resources.requests,
        _ => return Err(format!("unsupported container resource: {}", selector.resource)),
    };
    let amount = list.get(resource).map(|quantity| quantity.amount_or_zero()).unwrap_or(Amount::ZERO);
    let divisor = Some(selector.divisor.amount_or_zero()).filter(|amount| !amount.is_zero());
    let (amount, divisor) = if resource == "cpu" {
        (amount.milli_value(), divisor.map_or(1_000, |divisor| divisor.milli_value()))
    } else {
        (amount.value(), divisor.map_or(1, |divisor| divisor.value()))
    };
    // Rounded up, as Kubernetes does.
    let whole = amount / divisor.max(1) + i64::from(amount % divisor.max(1) > 0);
    Ok(whole.to_string())
}

/// Replaces `$(NAME)` by the value of a variable that is known already; `$$` is a dollar sign. What is unknown stays.
pub(super) fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            match env.iter().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_the_unknown_stays() {
        let env = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        for (text, expected) in
            [("x$(A)y", "x1y"), ("$(B)", "$(A)"), ("$$(A)", "$(A)"), ("$(C) $ $(", "$(C) $ $("), ("", "")]
        {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }

    #[test]
    fn the_downward_api_knows_the_usual_fields() {
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        pod.metadata.labels.insert("app".to_owned(), "x".to_owned());
        let addresses = Addresses { pod_ip: "10.0.0.1", host_ip: "192.168.0.1" };
        let get = |path: &str| {
            field(&pod, &addresses, &ObjectFieldSelector { field_path: path.to_owned(), ..Default::default() })
        };
        assert_eq!(get("metadata.name").unwrap(), "web");
        assert_eq!(get("metadata.labels['app']").unwrap(), "x");
        assert_eq!(get("metadata.annotations['none']").unwrap(), "");
        assert_eq!(get("status.podIP").unwrap(), "10.0.0.1");
        assert!(get("spec.replicas").is_err());
    }
}
