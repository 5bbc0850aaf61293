//! A tree that grows.

use super::frontier::Frontier;
use super::nodes::{Hash, consistency, fold, node_hash};

/// A tree that grows from some size on: proves in little memory that it continues the tree of that size.
#[derive(Debug, Clone)]
pub struct Growth {
    old: Frontier,
    size: u64,
    /// The complete subtrees over the leaves since, from left to right: the height and the root of each.
    since: Vec<(u32, Hash)>,
}

impl Growth {
    /// From this tree on.
    #[must_use]
    pub fn new(old: Frontier) -> Self {
        Self {
            size: old.size(),
            old,
            since: Vec::new(),
        }
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let (mut height, mut hash) = (0, leaf);
        while self.size >> height & 1 == 1 {
            // The left neighbour may be part of the old tree: then the pair is no subtree of leaves since.
            let Some((_, left)) = self.since.pop_if(|(left, _)| *left == height) else {
                break;
            };
            hash = node_hash(&left, &hash);
            height += 1;
        }
        self.since.push((height, hash));
        self.size += 1;
    }

    /// The number of leaves of the old tree.
    #[must_use]
    pub fn old_size(&self) -> u64 {
        self.old.size()
    }

    /// The number of leaves now.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The proof that the tree now continues the old one.
    #[must_use]
    pub fn proof(&self) -> Vec<Hash> {
        consistency(self.old.size(), self.size, |start, end| {
            let old = self.old.subtree(start, end);
            old.unwrap_or_else(|| self.since(start, end))
        })
    }

    /// The root over leaves since, which are a node of the tree.
    fn since(&self, start: u64, end: u64) -> Hash {
        let mut at = self.old.size();
        let inside = self.since.iter().filter(|(height, _)| {
            let from = at;
            at += 1 << height;
            from >= start && at <= end
        });
        let hashes: Vec<Hash> = inside.map(|(_, hash)| *hash).collect();
        fold(hashes.iter()).expect("a node has leaves")
    }
}
