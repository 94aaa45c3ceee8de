//! Namespaces: active, and labelled with their name, so that selectors can choose one.

use super::text;
use crate::core::v1::Namespace;

/// The label that always carries the namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Sets the defaults of a Namespace. One that is still to get its name from `generateName` must come here again.
pub fn namespace(namespace: &mut Namespace) {
    let metadata = &mut namespace.metadata;
    if !metadata.name.is_empty() {
        metadata.labels.insert(NAME_LABEL.to_owned(), metadata.name.clone());
    }
    text(&mut namespace.status.phase, "Active");
}
