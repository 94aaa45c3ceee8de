//! What is known of the things seen last.

use std::collections::{BTreeMap, HashMap};

/// A map from hashes that forgets the entry that was used least recently when there are too many.
#[derive(Debug)]
pub(super) struct Recent<V> {
    limit: usize,
    entries: HashMap<u64, (u64, V)>,
    /// The keys by their last use.
    uses: BTreeMap<u64, u64>,
    clock: u64,
}

impl<V> Recent<V> {
    pub(super) fn new(limit: usize) -> Self {
        Recent { limit, entries: HashMap::new(), uses: BTreeMap::new(), clock: 0 }
    }

    /// The value of a key, made if there is none. This is a use.
    pub(super) fn entry(&mut self, key: u64, make: impl FnOnce() -> V) -> &mut V {
        self.clock += 1;
        match self.entries.get(&key) {
            Some((used, _)) => _ = self.uses.remove(used),
            None => {
                if self.entries.len() >= self.limit
                    && let Some((_, oldest)) = self.uses.pop_first()
                {
                    self.entries.remove(&oldest);
                }
            }
        }
        self.uses.insert(self.clock, key);
        let (used, value) = self.entries.entry(key).or_insert_with(|| (0, make()));
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
        let (a, b, c) = (1, 2, 3);
        for key in [a, b, a, c] {
            *recent.entry(key, || 0) += 1;
        }
        assert_eq!((*recent.entry(a, || 0), *recent.entry(b, || 0)), (2, 0));
        assert_eq!((recent.entries.len(), recent.uses.len()), (2, 2));
    }
}
