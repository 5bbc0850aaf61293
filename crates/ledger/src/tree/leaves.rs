//! A tree whose leaves are here.

use super::frontier::Frontier;
use super::nodes::{Hash, consistency, empty_root, node_hash, split};
use crate::Error;

/// The leaves of a tree from some index on, with the frontier before them: makes proofs about these leaves.
#[derive(Debug, Clone)]
pub struct Leaves {
    first: u64,
    size: u64,
    /// The complete subtrees by height: the leaves, the pairs of leaves, and so on.
    levels: Vec<Level>,
}

/// The complete subtrees of one height.
#[derive(Debug, Clone)]
struct Level {
    /// The first one's number at this height; even, so that both halves of each pair are here.
    first: u64,
    hashes: Vec<Hash>,
}

impl Leaves {
    /// No leaves yet, after those of the frontier.
    #[must_use]
    pub fn new(before: &Frontier) -> Self {
        let size = before.size();
        let mut hashes = before.hashes().iter().rev();
        let levels = (0..u64::BITS - size.leading_zeros()).map(|height| {
            let next = size >> height;
            let first = next & !1;
            let count = usize::from(next != first);
            let hashes = hashes.by_ref().take(count).copied().collect();
            Level { first, hashes }
        });
        Self {
            first: size,
            size,
            levels: levels.collect(),
        }
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut height = 0;
        loop {
            if height == self.levels.len() {
                let hashes = Vec::new();
                self.levels.push(Level { first: 0, hashes });
            }
            let hashes = &mut self.levels[height].hashes;
            hashes.push(hash);
            // Since `first` is even, each second hash completes a pair.
            let Some(pair) = hashes.len().checked_sub(2) else {
                break;
            };
            if pair % 2 != 0 {
                break;
            }
            hash = node_hash(&hashes[pair], &hash);
            height += 1;
        }
        self.size += 1;
    }

    /// The index of the first leaf that is here.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of leaves of the tree, those before the first one here included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of a leaf; none where it is not here.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        let is_here = (self.first..self.size).contains(&index);
        is_here.then(|| self.subtree(index, index + 1))
    }

    /// The root of the tree when it had `size` leaves, from [`first`](Self::first) to all of them.
    pub fn root(&self, size: u64) -> Result<Hash, Error> {
        self.reaches(size)?;
        Ok(if size == 0 {
            empty_root()
        } else {
            self.range(0, size)
        })
    }

    /// The proof that the leaf is in the tree of `size` leaves, from the leaf's sibling upwards.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        self.reaches(size)?;
        if !(self.first..size).contains(&index) {
            return Err(self.lacks(index));
        }
        let (mut start, mut end) = (0, size);
        let mut proof = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                proof.push(self.range(middle, end));
                end = middle;
            } else {
                proof.push(self.range(start, middle));
                start = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The proof that the tree of `new` leaves continues the one of `old` leaves.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        self.reaches(old)?;
        self.reaches(new)?;
        if old > new {
            return Err(self.lacks(old));
        }
        Ok(consistency(old, new, |start, end| self.range(start, end)))
    }

    /// Whether the tree of this size can be computed from the leaves that are here.
    fn reaches(&self, size: u64) -> Result<(), Error> {
        if (self.first..=self.size).contains(&size) {
            Ok(())
        } else {
            Err(self.lacks(size))
        }
    }

    fn lacks(&self, wanted: u64) -> Error {
        Error::Leaves {
            wanted,
            first: self.first,
            size: self.size,
        }
    }

    /// The root over the leaves from `start` to before `end`, a node of some tree that is here.
    fn range(&self, start: u64, end: u64) -> Hash {
        let width = end - start;
        if width.is_power_of_two() {
            return self.subtree(start, end);
        }
        let middle = start + split(width);
        node_hash(&self.range(start, middle), &self.range(middle, end))
    }

    /// The root of a complete subtree.
    fn subtree(&self, start: u64, end: u64) -> Hash {
        let height = (end - start).ilog2();
        let level = &self.levels[height as usize];
        let number = (start >> height) - level.first;
        level.hashes[usize::try_from(number).expect("as many as there are hashes")]
    }
}
