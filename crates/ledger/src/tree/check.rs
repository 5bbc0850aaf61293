//! Checks proofs.

use super::nodes::{Hash, empty_root, node_hash};

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
