//! Which objects a list or a watch means.

use api::selector::{field, label};

use super::Cached;

/// A namespace, labels and fields; an object must meet all three.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Empty: all namespaces.
    pub namespace: String,
    /// What the labels must be.
    pub labels: label::Selector,
    /// What the selectable fields must be.
    pub fields: field::Selector,
}

impl Selection {
    /// Everything in a namespace; in all of them if it is empty.
    pub fn all_in(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            labels: label::Selector::everything(),
            fields: field::Selector::everything(),
        }
    }

    /// True if nothing is left out within the namespace.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether the object is meant.
    pub fn matches(&self, object: &Cached) -> bool {
        (self.namespace.is_empty() || self.namespace == object.namespace())
            && self.fields.matches(|path| object.field(path))
            && self.labels.matches(object.labels())
    }
}
