//! Which ranges of the cluster are taken, and by whom. Pure.

use api::cidr::Cidr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;

/// The cluster's range, divided into one for each node.
#[derive(Debug)]
pub struct Ranges {
    cluster: Cidr,
    /// Leading bits of a node's range.
    bits: u32,
    /// How many nodes have a part of each range; usually one.
    taken: BTreeMap<u32, u32>,
    by_node: HashMap<String, Range<u32>>,
    /// Where the search for a free one begins.
    next: u32,
    /// Nodes that have found none.
    waiting: BTreeSet<String>,
}

/// Every range is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// How many there are.
    pub ranges: u32,
    /// Out of what.
    pub cluster: Cidr,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} ranges of --cluster-cidr {} are taken", self.ranges, self.cluster)
    }
}

impl Ranges {
    /// All of the cluster's range, with so many leading bits for each node.
    ///
    /// # Errors
    /// A size that is not possible, with what to do about it.
    pub fn new(cluster: Cidr, bits: u32) -> Result<Self, String> {
        match cluster.blocks(bits) {
            0 => Err(format!(
                "--node-cidr-mask-size {bits} must be between {} and 30, since --cluster-cidr is {cluster}",
                cluster.bits()
            )),
            // Kubernetes' limit.
            count if count > 1 << 16 => Err(format!(
                "--cluster-cidr {cluster} would be divided into {count} ranges of /{bits}; the most is 65536, so take a smaller --node-cidr-mask-size"
            )),
            _ => {
                let (taken, by_node, waiting) = Default::default();
                Ok(Self { cluster, bits, taken, by_node, next: 0, waiting })
            }
        }
    }

    /// A node has this range, whoever gave it. One outside of the cluster's range is its own affair.
    pub fn occupy(&mut self, node: &str, range: Cidr) {
        let blocks = self.cluster.blocks_of(self.bits, range);
        if self.by_node.get(node) == Some(&blocks) {
            return;
        }
        self.forget(node);
        for block in blocks.clone() {
            *self.taken.entry(block).or_default() += 1;
        }
        self.by_node.insert(node.to_owned(), blocks);
    }

    /// Takes a range for a node, the one after the last one that was given.
    ///
    /// # Errors
    /// None is free. The node is remembered as waiting.
    pub fn allocate(&mut self, node: &str) -> Result<Cidr, Full> {
        let count = self.cluster.blocks(self.bits);
        if let Some(blocks) = self.by_node.get(node)
            && let Some(range) = self.cluster.block(self.bits, blocks.start)
        {
            // It was given before, and the cache does not show it yet.
            return Ok(range);
        }
        let mut candidates = (0..count).map(|step| (self.next + step) % count);
        let free = candidates.find(|block| !self.taken.contains_key(block));
        let Some(range) = free.and_then(|block| self.cluster.block(self.bits, block)) else {
            self.waiting.insert(node.to_owned());
            return Err(Full { ranges: count, cluster: self.cluster });
        };
        self.waiting.remove(node);
        self.next = free.map_or(0, |block| (block + 1) % count);
        self.occupy(node, range);
        Ok(range)
    }

    /// The node is gone, or does not have its range after all. Answers the nodes that should try again.
    pub fn release(&mut self, node: &str) -> BTreeSet<String> {
        self.waiting.remove(node);
        if self.forget(node) { std::mem::take(&mut self.waiting) } else { BTreeSet::new() }
    }

    fn forget(&mut self, node: &str) -> bool {
        let Some(blocks) = self.by_node.remove(node) else { return false };
        for block in blocks {
            if let Some(count) = self.taken.get_mut(&block) {
                *count -= 1;
                if *count == 0 {
                    self.taken.remove(&block);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(cluster: &str, bits: u32) -> Ranges {
        Ranges::new(cluster.parse().unwrap(), bits).unwrap()
    }

    fn given(ranges: &mut Ranges, node: &str) -> String {
        ranges.allocate(node).map_or_else(|full| full.to_string(), |range| range.to_string())
    }

    #[test]
    fn n1_no_two_nodes_have_the_same_range_and_a_free_one_is_used_late() {
        let mut ranges = ranges("10.244.0.0/22", 24);
        assert_eq!(given(&mut ranges, "a"), "10.244.0.0/24");
        assert_eq!(given(&mut ranges, "b"), "10.244.1.0/24");
        assert_eq!(given(&mut ranges, "a"), "10.244.0.0/24", "asked for twice");
        assert!(ranges.release("a").is_empty());
        assert_eq!(given(&mut ranges, "c"), "10.244.2.0/24");
        assert_eq!(given(&mut ranges, "d"), "10.244.3.0/24");
        assert_eq!(given(&mut ranges, "e"), "10.244.0.0/24");
        assert_eq!(given(&mut ranges, "f"), "all 4 ranges of --cluster-cidr 10.244.0.0/22 are taken");
        assert_eq!(ranges.release("b"), ["f".to_owned()].into());
        assert_eq!(given(&mut ranges, "f"), "10.244.1.0/24");
    }

    #[test]
    fn n1_what_nodes_have_already_is_not_given_away() {
        let mut ranges = ranges("10.244.0.0/22", 24);
        ranges.occupy("mine", "10.244.0.0/24".parse().unwrap());
        ranges.occupy("large", "10.244.0.0/23".parse().unwrap());
        ranges.occupy("elsewhere", "192.168.0.0/24".parse().unwrap());
        ranges.occupy("mine", "10.244.0.0/24".parse().unwrap());
        assert_eq!(given(&mut ranges, "a"), "10.244.2.0/24");
        ranges.release("mine");
        assert_eq!(given(&mut ranges, "b"), "10.244.3.0/24");
        assert!(ranges.allocate("c").is_err(), "the large one still covers both others");
        assert_eq!(ranges.release("large"), ["c".to_owned()].into());
        assert_eq!(given(&mut ranges, "c"), "10.244.0.0/24");
    }

    #[test]
    fn sizes_that_are_not_possible_are_named() {
        let refused = |cluster: &str, bits| Ranges::new(cluster.parse().unwrap(), bits).unwrap_err();
        assert!(refused("10.244.0.0/16", 12).starts_with("--node-cidr-mask-size 12 must be between 16 and 30"));
        assert!(refused("10.244.0.0/16", 31).starts_with("--node-cidr-mask-size 31"));
        assert!(refused("10.0.0.0/8", 28).contains("the most is 65536"));
    }
}
