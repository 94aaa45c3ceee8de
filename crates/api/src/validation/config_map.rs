//! ConfigMaps.

use crate::core::v1::ConfigMap;
use crate::field::{ErrorList, FieldError, Path};
use crate::names::{self, NameRule};

use super::{MAX_DATA, metadata};

const FROZEN: &str = "field is immutable when `immutable` is set";

/// Checks a new ConfigMap.
pub fn create(config_map: &ConfigMap) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&config_map.metadata, true, NameRule::Subdomain, &mut errors);
    contents(config_map, &mut errors);
    errors
}

/// Checks a change of a ConfigMap.
pub fn update(new: &ConfigMap, old: &ConfigMap) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    if old.immutable == Some(true) {
        let changed = [
            ("immutable", new.immutable != Some(true)),
            ("data", new.data != old.data),
            ("binaryData", new.binary_data != old.binary_data),
        ];
        for (field, _) in changed.into_iter().filter(|(_, changed)| *changed) {
            errors.push(FieldError::forbidden(&Path::new(field), FROZEN));
        }
    }
    contents(new, &mut errors);
    errors
}

fn contents(config_map: &ConfigMap, errors: &mut ErrorList) {
    let mut size = 0;
    for (key, value) in &config_map.data {
        let path = Path::new("data").key(key);
        errors.push_invalid(&path, key, names::config_map_key(key));
        if config_map.binary_data.contains_key(key) {
            errors.push(FieldError::invalid(&path, key, "duplicate of key present in binaryData"));
        }
        size += value.len();
    }
    for (key, value) in &config_map.binary_data {
        errors.push_invalid(&Path::new("binaryData").key(key), key, names::config_map_key(key));
        size += value.len();
    }
    if size > MAX_DATA {
        // Kubernetes' way to write the path of the whole object.
        errors.push(FieldError::too_long(&Path::new("[]"), MAX_DATA));
    }
}
