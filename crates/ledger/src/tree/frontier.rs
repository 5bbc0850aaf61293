//! A tree in a few hashes.

use super::nodes::{Hash, empty_root, fold, node_hash};
use crate::Error;

/// Most leaves that a frontier is made with: far from where counting ends.
const MOST_LEAVES: u64 = 1 << 63;

/// The right edge of a tree: enough to append leaves and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete subtrees, one for each 1 bit of the size, the largest first.
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The frontier of a tree of `size` leaves from its hashes, the largest subtree's first.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, Error> {
        if size <= MOST_LEAVES && hashes.len() == size.count_ones() as usize {
            Ok(Self { size, hashes })
        } else {
            let hashes = hashes.len();
            Err(Error::Frontier { size, hashes })
        }
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the complete subtrees, the largest subtree's first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let completed = self.size.trailing_ones() as usize;
        let completed = self.hashes.drain(self.hashes.len() - completed..);
        let hash = completed
            .rev()
            .fold(leaf, |right, left| node_hash(&left, &right));
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(self.hashes.iter()).unwrap_or_else(empty_root)
    }

    /// The root of the complete subtree at `start`, if it is part of the frontier.
    pub(super) fn subtree(&self, start: u64, end: u64) -> Option<Hash> {
        let width = end - start;
        let larger = self.size & !(width | (width - 1));
        let is_part = width.is_power_of_two() && self.size & width != 0 && larger == start;
        is_part.then(|| self.hashes[larger.count_ones() as usize])
    }
}
