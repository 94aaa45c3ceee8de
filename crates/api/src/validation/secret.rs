//! Secrets. No message repeats what is in one.

use crate::core::v1::Secret;
use crate::field::{ErrorList, FieldError, Path};
use crate::names::{self, NameRule};

use super::{MAX_DATA, immutable, metadata};

const FROZEN: &str = "field is immutable when `immutable` is set";
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// Checks a new Secret.
pub fn create(secret: &Secret) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&secret.metadata, true, NameRule::Subdomain, &mut errors);
    contents(secret, &mut errors);
    errors
}

/// Checks a change of a Secret.
pub fn update(new: &Secret, old: &Secret) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    immutable(&new.r#type, &old.r#type, &Path::new("type"), &mut errors);
    if old.immutable == Some(true) {
        let changed = [("immutable", new.immutable != Some(true)), ("data", new.data != old.data)];
        for (field, _) in changed.into_iter().filter(|(_, changed)| *changed) {
            errors.push(FieldError::forbidden(&Path::new(field), FROZEN));
        }
    }
    contents(new, &mut errors);
    errors
}

fn contents(secret: &Secret, errors: &mut ErrorList) {
    let path = Path::new("data");
    for key in secret.data.keys() {
        errors.push_invalid(&path.key(key), key, names::config_map_key(key));
    }
    if secret.data.values().map(Vec::len).sum::<usize>() > MAX_DATA {
        errors.push(FieldError::too_long(&path, MAX_DATA));
    }
    let mut needs = |key: &str| errors.push(FieldError::required(&path.key(key), ""));
    let has = |key: &str| secret.data.contains_key(key);
    match secret.r#type.as_str() {
        "kubernetes.io/service-account-token"
            if secret.metadata.annotations.get(SERVICE_ACCOUNT_NAME).is_none_or(String::is_empty) =>
        {
            let path = Path::new("metadata.annotations").key(SERVICE_ACCOUNT_NAME);
            errors.push(FieldError::required(&path, ""));
        }
        "kubernetes.io/dockercfg" => json(secret, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => json(secret, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            needs("username");
            needs("password");
        }
        "kubernetes.io/ssh-auth" if secret.data.get("ssh-privatekey").is_none_or(Vec::is_empty) => {
            needs("ssh-privatekey");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"].into_iter().filter(|key| !has(key)) {
                needs(key);
            }
        }
        _ => {}
    }
}

/// The value must be there and be a JSON object.
fn json(secret: &Secret, key: &str, errors: &mut ErrorList) {
    let path = Path::new("data").key(key);
    match secret.data.get(key) {
        None => errors.push(FieldError::required(&path, "")),
        Some(value) => {
            if let Err(error) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(value) {
                errors.push(FieldError::invalid(&path, "<secret contents redacted>", error.to_string()));
            }
        }
    }
}
