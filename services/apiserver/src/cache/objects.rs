//! The objects of one resource as they are now, by key and by the value of the indexed field.
//!
//! Pure. Invariant: an object is in the index exactly under its own value, unless that is empty: most objects of most kinds have none,
//! and who asks for these asks for nearly everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::cached::Cached;
use super::layout::Layout;
use super::selection::Selection;
use super::watchers::Place;

/// All objects of a resource.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    by_key: BTreeMap<Arc<str>, Arc<Cached>>,
    by_value: HashMap<String, BTreeSet<Arc<str>>>,
}

impl Objects {
    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Cached>> {
        self.by_key.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Adds an object, or replaces the one of its key and returns that.
    pub(crate) fn insert(&mut self, object: Arc<Cached>, layout: &Layout) -> Option<Arc<Cached>> {
        let key = Arc::clone(&object.key);
        let value = value_of(&object, layout).map(str::to_owned);
        let previous = self.by_key.insert(Arc::clone(&key), object);
        let before = previous.as_ref().and_then(|previous| value_of(previous, layout));
        if before != value.as_deref() {
            self.forget(before, &key);
            if let Some(value) = value {
                self.by_value.entry(value).or_default().insert(key);
            }
        }
        previous
    }

    /// Removes and returns the object of a key.
    pub(crate) fn remove(&mut self, key: &str, layout: &Layout) -> Option<Arc<Cached>> {
        let removed = self.by_key.remove(key)?;
        self.forget(value_of(&removed, layout), key);
        Some(removed)
    }

    /// The selected objects after a key, in the order of their keys. Looks at no more objects than a watch of them would.
    pub(crate) fn select<'a>(
        &'a self,
        selection: &'a Selection,
        start_after: Option<&'a str>,
        layout: &Layout,
    ) -> Box<dyn Iterator<Item = &'a Arc<Cached>> + 'a> {
        let prefix = layout.prefix_of(&selection.namespace);
        let matching = |object: &&'a Arc<Cached>| selection.matches(object);
        match Place::of(selection, layout) {
            Place::Object(key) => {
                let object = self.by_key.get(key.as_str()).filter(|object| Some(&*object.key) > start_after);
                Box::new(object.into_iter().filter(matching))
            }
            Place::Indexed(value) => {
                let after = start_after.map_or(Bound::Unbounded, Bound::Excluded);
                let keys = self.by_value.get(&value).into_iter();
                let keys = keys.flat_map(move |keys| keys.range::<str, _>((after, Bound::Unbounded)));
                Box::new(keys.filter_map(|key| self.by_key.get(key)).filter(matching))
            }
            Place::Everything | Place::Namespace(_) => {
                let from = start_after.map_or(Bound::Included(prefix.as_str()), Bound::Excluded);
                let range = self.by_key.range::<str, _>((from, Bound::Unbounded)).map(|(_, object)| object);
                Box::new(range.take_while(move |object| object.key.starts_with(&prefix)).filter(matching))
            }
        }
    }

    fn forget(&mut self, value: Option<&str>, key: &str) {
        let Some(value) = value else { return };
        if let Some(keys) = self.by_value.get_mut(value) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_value.remove(value);
            }
        }
    }
}

fn value_of<'a>(object: &'a Cached, layout: &Layout) -> Option<&'a str> {
    layout.index.map(|field| object.field(field)).filter(|value| !value.is_empty())
}
