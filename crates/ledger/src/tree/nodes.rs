//! The hashes of nodes, and which nodes a tree has.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A hash of the tree: a leaf's, an inner node's or a root.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256(0x00 || line). The line comes without its newline.
#[must_use]
pub fn leaf_hash(line: &[u8]) -> Hash {
    hash_of(&[&[0], line])
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
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
pub(super) fn empty_root() -> Hash {
    to_hash(digest(&SHA256, b"").as_ref())
}

/// The largest power of two smaller than `n`, which is at least 2: where a tree of `n` leaves divides.
pub(super) fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Folds complete subtrees, from left to right ever smaller, into the root above them.
pub(super) fn fold<'a>(subtrees: impl DoubleEndedIterator<Item = &'a Hash>) -> Option<Hash> {
    let mut from_right = subtrees.rev();
    let last = *from_right.next()?;
    Some(from_right.fold(last, |right, left| node_hash(left, &right)))
}

/// The consistency proof of RFC 6962, section 2.1.2; `range` gives the root over leaves that are a node.
pub(super) fn consistency(old: u64, new: u64, range: impl Fn(u64, u64) -> Hash) -> Vec<Hash> {
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
