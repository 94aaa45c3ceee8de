//! What is known of the things seen last.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A map that forgets the entry that was used least recently when there are too many.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    limit: usize,
    entries: HashMap<K, (u64, V)>,
    /// The keys by their last use.
    uses: BTreeMap<u64, K>,
    clock: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Recent { limit, entries: HashMap::new(), uses: BTreeMap::new(), clock: 0 }
    }

    /// The value of a key, made if there is none. This is a use.
    pub(super) fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.clock += 1;
        match self.entries.get(key) {
            Some((used, _)) => _ = self.uses.remove(used),
            None => {
                if self.entries.len() >= self.limit
                    && let Some((_, oldest)) = self.uses.pop_first()
                {
                    self.entries.remove(&oldest);
                }
            }
        }
        self.uses.insert(self.clock, key.clone());
        let (used, value) = self.entries.entry(key.clone()).or_insert_with(|| (0, make()));
        *used = self.clock;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let mut recent = Recent::new(2);
        *recent.entry(&"a", || 0) += 1;
        *recent.entry(&"b", || 0) += 1;
        *recent.entry(&"a", || 0) += 1;
        *recent.entry(&"c", || 0) += 1;
        assert_eq!((*recent.entry(&"a", || 0), *recent.entry(&"b", || 0)), (2, 0));
        assert_eq!((recent.entries.len(), recent.uses.len()), (2, 2));
    }
}
