//! A container's environment: literal values, fields of the pod, config maps and secrets, `$(NAME)` in all of them, and services.
//!
//! Every name that a config map or secret may have is a valid name of a variable (Kubernetes 1.34), so none is skipped.

mod services;

use std::collections::BTreeMap;

use api::core::v1::{Container, EnvVarSource, Pod};

use super::PodApi;
use super::downward::{self, Surroundings};
use crate::static_pods::is_static;

/// Works out the environment: what the spec says in the order of definition, then what describes services. The error is what
/// `CreateContainerConfigError` shows.
pub(super) async fn environment(
    api: &dyn PodApi,
    pod: &Pod,
    container: &Container,
    around: Surroundings<'_>,
) -> Result<Vec<(String, String)>, String> {
    let services = match api.services(&pod.metadata.namespace) {
        Some(services) => services::variables(pod, &services),
        // A static pod may be what makes the apiserver answer.
        None if is_static(pod) => BTreeMap::new(),
        None => return Err("services have not yet been read at least once, cannot construct envvars".to_owned()),
    };
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
            Some(source) if variable.value.is_empty() => value_from(api, pod, container, around, source).await?,
            _ => Some(expand(&variable.value, |name| {
                let known = env.iter().find(|(known, _)| known == name).map(|(_, value)| value);
                known.or_else(|| services.get(name)).cloned()
            })),
        };
        if let Some(value) = value {
            set(&mut env, variable.name.clone(), value);
        }
    }
    for (name, value) in services {
        if !env.iter().any(|(known, _)| *known == name) {
            env.push((name, value));
        }
    }
    Ok(env)
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
    around: Surroundings<'_>,
    source: &EnvVarSource,
) -> Result<Option<String>, String> {
    if let Some(selector) = &source.field_ref {
        return downward::field(pod, around, selector).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return downward::resource(pod, Some(container), around, selector).map(Some);
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

/// Replaces `$(NAME)` by what `value` answers; `$$` is a dollar sign. What is unknown stays.
pub(super) fn expand(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            expanded.push_str(&value(name).unwrap_or_else(|| format!("$({name})")));
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

/// The value of a variable.
pub(super) fn value_of(env: &[(String, String)], name: &str) -> Option<String> {
    env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
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
            assert_eq!(expand(text, |name| value_of(&env, name)), expected, "{text}");
        }
    }
}
