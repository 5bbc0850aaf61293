//! The Merkle tree over the ledger's lines (RFC 6962, section 2.1, with SHA-256).

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::Error;

/// A hash of the tree: a leaf's, an inner node's or a root.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256(0x00 || line). The line comes without its newline.
#[must_use]
pub fn leaf_hash(line: &[u8]) -> Hash {
    hash_of(&[&[0], line])
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_of(&[&[1], left, right])
}

fn hash_of(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    to_hash(context.finish().as_ref())
}

fn to_hash(bytes: &[u8]) -> Hash {
    bytes.try_into().expect("SHA-256 has 32 bytes")
}

/// The root of a tree without leaves.
fn empty_root() -> Hash {
    to_hash(digest(&SHA256, b"").as_ref())
}

/// The largest power of two smaller than `n`, which is at least 2: where a tree of `n` leaves divides.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Folds complete subtrees, from left to right ever smaller, into the root above them.
fn fold<'a>(subtrees: impl DoubleEndedIterator<Item = &'a Hash>) -> Option<Hash> {
    let mut from_right = subtrees.rev();
    let last = *from_right.next()?;
    Some(from_right.fold(last, |right, left| node_hash(left, &right)))
}

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
        if hashes.len() == size.count_ones() as usize {
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
    fn subtree(&self, start: u64, end: u64) -> Option<Hash> {
        let width = end - start;
        let larger = self.size & !(width | (width - 1));
        let is_part = width.is_power_of_two() && self.size & width != 0 && larger == start;
        is_part.then(|| self.hashes[larger.count_ones() as usize])
    }
}

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
        let size = before.size;
        let mut hashes = before.hashes.iter().rev();
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
            size: old.size,
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
        self.old.size
    }

    /// The number of leaves now.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The proof that the tree now continues the old one.
    #[must_use]
    pub fn proof(&self) -> Vec<Hash> {
        consistency(self.old.size, self.size, |start, end| {
            let old = self.old.subtree(start, end);
            old.unwrap_or_else(|| self.since(start, end))
        })
    }

    /// The root over leaves since, which are a node of the tree.
    fn since(&self, start: u64, end: u64) -> Hash {
        let mut at = self.old.size;
        let inside = self.since.iter().filter(|(height, _)| {
            let from = at;
            at += 1 << height;
            from >= start && at <= end
        });
        let hashes: Vec<Hash> = inside.map(|(_, hash)| *hash).collect();
        fold(hashes.iter()).expect("a node has leaves")
    }
}

/// The consistency proof of RFC 6962, section 2.1.2; `range` gives the root over leaves that are a node.
fn consistency(old: u64, new: u64, range: impl Fn(u64, u64) -> Hash) -> Vec<Hash> {
    if old == 0 || old == new {
        return Vec::new();
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(middle, end));
            end = middle;
        } else {
            proof.push(range(start, middle));
            start = middle;
        }
    }
    // A verifier that knows the old root knows this one too where it is the whole old tree.
    if start != 0 {
        proof.push(range(start, end));
    }
    proof.reverse();
    proof
}

/// Whether the proof shows that the leaf with this hash is in the tree (RFC 9162, section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let mut climb = Climb::new(index, size);
    let mut hash = *leaf;
    for sibling in proof {
        match climb.up() {
            Some(Side::Left) => hash = node_hash(sibling, &hash),
            Some(Side::Right) => hash = node_hash(&hash, sibling),
            None => return false,
        }
    }
    climb.is_at_root() && hash == *root
}

/// Whether the proof shows that the new tree continues the old one (RFC 9162, section 2.1.4.2).
///
/// The empty tree is continued by each tree, and each tree by itself, with an empty proof.
#[must_use]
pub fn verify_consistency(
    (old_size, old_root): (u64, &Hash),
    (new_size, new_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if old_size == 0 {
        return proof.is_empty()
            && *old_root == empty_root()
            && (new_size != 0 || new_root == old_root);
    }
    if old_size >= new_size {
        return old_size == new_size && proof.is_empty() && old_root == new_root;
    }
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        let Some((first, rest)) = proof.split_first() else {
            return false;
        };
        (first, rest)
    };
    let mut climb = Climb::new(old_size - 1, new_size);
    climb.skip_right_edges();
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        match climb.up() {
            Some(Side::Left) => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            Some(Side::Right) => new = node_hash(&new, sibling),
            None => return false,
        }
    }
    climb.is_at_root() && old == *old_root && new == *new_root
}

/// The way from a node of a tree to the root.
struct Climb {
    /// The node's number at its height.
    node: u64,
    /// The last node's number at this height.
    last: u64,
}

/// Where a node's sibling is.
enum Side {
    Left,
    Right,
}

impl Climb {
    fn new(leaf: u64, size: u64) -> Self {
        let last = size - 1;
        Self { node: leaf, last }
    }

    /// Climbs while the node is the right half of its pair.
    fn skip_right_edges(&mut self) {
        let by = self.node.trailing_ones();
        self.shift(by);
    }

    /// Climbs to the next node above that has two children; says where the sibling was.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            if self.node & 1 == 0 {
                // A node without a sibling stands for the one above.
                self.shift(self.node.trailing_zeros());
            }
            Side::Left
        } else {
            Side::Right
        };
        self.shift(1);
        Some(side)
    }

    fn shift(&mut self, by: u32) {
        self.node = self.node.checked_shr(by).unwrap_or(0);
        self.last = self.last.checked_shr(by).unwrap_or(0);
    }

    fn is_at_root(&self) -> bool {
        self.last == 0
    }
}
