//! What plugins remember from one extension point to the next, during one attempt for one pod.

use std::any::{Any, TypeId};

/// Values by their type: each plugin stores types of its own, so no two plugins meet.
///
/// Written before the nodes are looked at (PreFilter, PreScore) and by Reserve; read-only while there may be many readers.
#[derive(Debug, Default)]
pub struct CycleState {
    /// A handful at most: a search through it is cheaper than a hash.
    values: Vec<(TypeId, Box<dyn Any + Send + Sync>)>,
    /// Plugins that said in PreFilter that they have nothing to say about this pod.
    skipped_filters: Vec<&'static str>,
    /// The same, in PreScore.
    skipped_scores: Vec<&'static str>,
}

impl CycleState {
    /// Nothing remembered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a value, in place of an earlier one of the same type.
    pub fn put<T: Any + Send + Sync>(&mut self, value: T) {
        let (id, value) = (TypeId::of::<T>(), Box::new(value));
        match self.values.iter_mut().find(|(known, _)| *known == id) {
            Some((_, old)) => *old = value,
            None => self.values.push((id, value)),
        }
    }

    /// The value of a type, if a plugin has stored one.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        let id = TypeId::of::<T>();
        self.values.iter().find(|(known, _)| *known == id).and_then(|(_, value)| value.downcast_ref())
    }

    pub(super) fn skip_filter(&mut self, plugin: &'static str) {
        self.skipped_filters.push(plugin);
    }

    pub(super) fn skip_score(&mut self, plugin: &'static str) {
        self.skipped_scores.push(plugin);
    }

    pub(super) fn skips_filter(&self, plugin: &str) -> bool {
        self.skipped_filters.contains(&plugin)
    }

    pub(super) fn skips_score(&self, plugin: &str) -> bool {
        self.skipped_scores.contains(&plugin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Seen(u32);

    #[test]
    fn a_value_is_found_by_its_type_and_the_last_one_counts() {
        let mut state = CycleState::new();
        assert_eq!(state.get::<Seen>(), None);
        state.put(Seen(1));
        state.put(7_u32);
        state.put(Seen(2));
        assert_eq!((state.get::<Seen>(), state.get::<u32>()), (Some(&Seen(2)), Some(&7)));
    }
}
