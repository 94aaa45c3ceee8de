//! An informer's copy of one kind.
//!
//! Readers share objects by `Arc` and never wait for a writer longer than one map insertion. Only the informer writes.

use crate::Key;
use api::Resource;
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use telemetry::Cause;

/// Values of an index for an object: none, one or several.
type IndexFn<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// A handle to the copy. Cheap to clone.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    state: RwLock<State<K>>,
}

struct State<K> {
    objects: HashMap<Key, Held<K>>,
    indexes: Vec<Index<K>>,
}

struct Index<K> {
    name: &'static str,
    values: IndexFn<K>,
    by_value: HashMap<String, BTreeSet<Key>>,
}

struct Held<K> {
    object: Arc<K>,
    cause: Cause,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache { shared: Arc::clone(&self.shared) }
    }
}

impl<K> std::fmt::Debug for Cache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("objects", &self.shared.state.read().objects.len()).finish()
    }
}

impl<K: Resource> Cache<K> {
    /// An empty cache with these indexes.
    pub(crate) fn new(indexes: Vec<(&'static str, IndexFn<K>)>) -> Self {
        let indexes =
            indexes.into_iter().map(|(name, values)| Index { name, values, by_value: HashMap::new() }).collect();
        Cache { shared: Arc::new(Shared { state: RwLock::new(State { objects: HashMap::new(), indexes }) }) }
    }

    /// Adds an index. One of that name may be there already, wanted by another reader of a shared cache; it is kept.
    pub(crate) fn add_index(&self, name: &'static str, values: IndexFn<K>) {
        let mut state = self.shared.state.write();
        let State { objects, indexes } = &mut *state;
        if indexes.iter().any(|index| index.name == name) {
            return;
        }
        let mut index = Index { name, values, by_value: HashMap::new() };
        for (key, held) in objects {
            index.insert(key, &held.object);
        }
        indexes.push(index);
    }

    /// A cache with these objects and indexes, for tests of pure code that reads one.
    pub fn of(objects: impl IntoIterator<Item = K>, indexes: Vec<(&'static str, IndexFn<K>)>) -> Self {
        let cache = Cache::new(indexes);
        for object in objects {
            cache.put(Arc::new(object), Cause::default());
        }
        cache
    }

    /// The object of that key.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.shared.state.read().objects.get(key).map(|held| Arc::clone(&held.object))
    }

    /// The cause of the object's newest revision.
    pub fn cause(&self, key: &Key) -> Option<Cause> {
        self.shared.state.read().objects.get(key).map(|held| held.cause.clone())
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.state.read().objects.values().map(|held| Arc::clone(&held.object)).collect()
    }

    /// All objects of a namespace, in no order.
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        state
            .objects
            .iter()
            .filter(|(key, _)| key.namespace == namespace)
            .map(|(_, held)| Arc::clone(&held.object))
            .collect()
    }

    /// The objects with that value of an index, in the order of their keys.
    ///
    /// # Panics
    /// The informer was built without an index of that name.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        let index = state.indexes.iter().find(|candidate| candidate.name == index);
        let index = index.expect("the informer was built with the indexes that its readers use");
        let keys = index.by_value.get(value).into_iter().flatten();
        keys.filter_map(|key| state.objects.get(key)).map(|held| Arc::clone(&held.object)).collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.state.read().objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.shared.state.read().objects.keys().cloned().collect()
    }

    /// Stores an object; returns the one before.
    pub(crate) fn put(&self, object: Arc<K>, cause: Cause) -> Option<Arc<K>> {
        let key = Key::of(&*object);
        let mut state = self.shared.state.write();
        let State { objects, indexes } = &mut *state;
        let old = objects.insert(key.clone(), Held { object: Arc::clone(&object), cause }).map(|held| held.object);
        for index in indexes {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&key, &object);
        }
        old
    }

    /// Removes an object; returns it.
    pub(crate) fn remove(&self, key: &Key) -> Option<Arc<K>> {
        let mut state = self.shared.state.write();
        let State { objects, indexes } = &mut *state;
        let old = objects.remove(key)?.object;
        for index in indexes {
            index.remove(key, &old);
        }
        Some(old)
    }
}

impl<K> Index<K> {
    fn insert(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            self.by_value.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key, object: &K) {
        for value in (self.values)(object) {
            if let Some(keys) = self.by_value.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_value.remove(&value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Pod;

    fn pod(name: &str, node: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = "default".to_owned();
        pod.metadata.name = name.to_owned();
        pod.spec.node_name = node.to_owned();
        pod
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter().map(|p| p.metadata.name.as_str()).collect()
    }

    #[test]
    fn an_index_follows_its_objects() {
        let cache = Cache::of(
            [pod("a", "n1"), pod("b", "n1"), pod("c", "n2")],
            vec![("node", Box::new(|p: &Pod| vec![p.spec.node_name.clone()]))],
        );
        assert_eq!(names(&cache.by_index("node", "n1")), ["a", "b"]);
        cache.put(Arc::new(pod("a", "n2")), Cause::default());
        assert_eq!(names(&cache.by_index("node", "n1")), ["b"]);
        assert_eq!(names(&cache.by_index("node", "n2")), ["a", "c"]);
        cache.remove(&Key::new("default", "b"));
        assert!(cache.by_index("node", "n1").is_empty());
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn an_index_that_comes_later_knows_the_objects_before() {
        let cache = Cache::of([pod("a", "n1")], vec![]);
        cache.add_index("node", Box::new(|p: &Pod| vec![p.spec.node_name.clone()]));
        cache.add_index("node", Box::new(|_| panic!("the index is there already")));
        cache.put(Arc::new(pod("b", "n1")), Cause::default());
        assert_eq!(names(&cache.by_index("node", "n1")), ["a", "b"]);
    }
}
