//! Amounts as plain integers: what a filter compares for a thousand nodes.

use std::sync::Arc;

use api::pod_resources;

/// Amounts of resources. Not named means none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Everything else that is counted (`example.com/gpu`, `hugepages-2Mi`), sorted by name.
    scalars: Vec<(Arc<str>, i64)>,
}

impl From<&pod_resources::Resources> for Resources {
    fn from(amounts: &pod_resources::Resources) -> Self {
        let mut resources = Self::default();
        for (name, amount) in amounts {
            match name.as_str() {
                "cpu" => resources.milli_cpu = amount.milli_value(),
                "memory" => resources.memory = amount.value(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value(),
                // A number of pods is no resource of a pod; nodes keep it apart.
                "pods" => {}
                // The map is sorted, so these are.
                _ => resources.scalars.push((Arc::from(name.as_str()), amount.value())),
            }
        }
        resources
    }
}

impl Resources {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everything but CPU, memory and ephemeral storage, by name.
    pub fn scalars(&self) -> impl Iterator<Item = (&str, i64)> {
        self.scalars.iter().map(|(name, amount)| (&**name, *amount))
    }

    /// The amount of one of [`Resources::scalars`].
    pub fn scalar(&self, name: &str) -> i64 {
        self.position(name).map_or(0, |index| self.scalars[index].1)
    }

    /// Adds.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes away what was added before.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalars {
            match self.position(name) {
                Ok(index) => self.scalars[index].1 = with(self.scalars[index].1, *amount),
                Err(index) => self.scalars.insert(index, (Arc::clone(name), with(0, *amount))),
            }
        }
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.scalars.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::resources;

    #[test]
    fn what_was_added_can_be_taken_away() {
        let web = resources(&[("cpu", "250m"), ("memory", "1Gi"), ("x/gpu", "2"), ("pods", "9")]);
        assert_eq!((web.milli_cpu, web.memory, web.scalar("x/gpu"), web.scalar("x/tpu")), (250, 1 << 30, 2, 0));
        let mut total = resources(&[("cpu", "1"), ("a/b", "1")]);
        let before = total.clone();
        total.add(&web);
        assert_eq!(total.scalars().collect::<Vec<_>>(), [("a/b", 1), ("x/gpu", 2)]);
        total.subtract(&web);
        assert_eq!((total.milli_cpu, total.scalar("x/gpu")), (before.milli_cpu, 0));
        assert!(Resources::default().is_empty() && !web.is_empty());
    }
}
