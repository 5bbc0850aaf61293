//! The tree against RFC 6962 as it is written, recursion by recursion.

use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};
use proptest::prelude::*;
use qseed_ledger::tree::{
    Frontier, Growth, Hash, Leaves, leaf_hash, verify_consistency, verify_inclusion,
};

/// RFC 6962, section 2.1, to the letter and slow.
mod rfc {
    use super::{Hash, SHA256, digest};

    fn sha256(bytes: &[u8]) -> Hash {
        digest(&SHA256, bytes).as_ref().try_into().expect("valid")
    }

    fn k(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    pub(super) fn mth(d: &[Vec<u8>]) -> Hash {
        match d.len() {
            0 => sha256(b""),
            1 => sha256(&[&[0][..], &d[0]].concat()),
            n => {
                let (left, right) = d.split_at(k(n));
                sha256(&[&[1][..], &mth(left), &mth(right)].concat())
            }
        }
    }

    pub(super) fn path(m: usize, d: &[Vec<u8>]) -> Vec<Hash> {
        if d.len() == 1 {
            return vec![];
        }
        let (left, right) = d.split_at(k(d.len()));
        if m < left.len() {
            [path(m, left), vec![mth(right)]].concat()
        } else {
            [path(m - left.len(), right), vec![mth(left)]].concat()
        }
    }

    pub(super) fn proof(m: usize, d: &[Vec<u8>]) -> Vec<Hash> {
        if m == 0 {
            return vec![];
        }
        subproof(m, d, true)
    }

    fn subproof(m: usize, d: &[Vec<u8>], whole: bool) -> Vec<Hash> {
        if m == d.len() {
            return if whole { vec![] } else { vec![mth(d)] };
        }
        let (left, right) = d.split_at(k(d.len()));
        if m <= left.len() {
            [subproof(m, left, whole), vec![mth(right)]].concat()
        } else {
            [subproof(m - left.len(), right, false), vec![mth(left)]].concat()
        }
    }
}

/// Lines that differ.
fn lines(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|line| format!("line {line}").into_bytes())
        .collect()
}

fn frontier(lines: &[Vec<u8>]) -> Frontier {
    let mut frontier = Frontier::new();
    for line in lines {
        frontier.append(leaf_hash(line));
    }
    frontier
}

/// The leaves of a tree that was pruned up to `first`.
fn leaves(lines: &[Vec<u8>], first: usize) -> Leaves {
    let mut leaves = Leaves::new(&frontier(&lines[..first]));
    for line in &lines[first..] {
        leaves.append(leaf_hash(line));
    }
    leaves
}

fn growth(lines: &[Vec<u8>], old: usize) -> Growth {
    let mut growth = Growth::new(frontier(&lines[..old]));
    for line in &lines[old..] {
        growth.append(leaf_hash(line));
    }
    growth
}

fn all_in(sizes: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    sizes
        .clone()
        .flat_map(move |new| (0..=new).map(move |old| (old, new)))
}

/// The leaves and roots of the reference implementation of Certificate Transparency.
#[test]
fn the_roots_of_certificate_transparency_come_out() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(frontier.root(), from_hex(root), "size {size}");
        if let Some(leaf) = leaves.get(size) {
            frontier.append(leaf_hash(leaf));
        }
    }
}

fn from_hex(text: &str) -> Hash {
    let number = |at| u8::from_str_radix(&text[2 * at..][..2], 16).expect("two hex digits");
    std::array::from_fn(number)
}

#[test]
fn roots_and_proofs_are_those_of_the_rfc_from_wherever_the_tree_is_pruned() {
    let lines = lines(40);
    for (first, size) in all_in(0..lines.len() + 1) {
        let root = rfc::mth(&lines[..size]);
        assert_eq!(frontier(&lines[..size]).root(), root);
        let pruned = leaves(&lines, first);
        assert_eq!(pruned.root(size as u64), Ok(root));
        for index in first..size {
            assert_eq!(pruned.leaf(index as u64), Some(leaf_hash(&lines[index])));
            let proof = rfc::path(index, &lines[..size]);
            assert_eq!(pruned.inclusion(index as u64, size as u64), Ok(proof));
        }
        for old in first..=size {
            let proof = rfc::proof(old, &lines[..size]);
            assert_eq!(pruned.consistency(old as u64, size as u64), Ok(proof));
        }
    }
}

#[test]
fn a_tree_that_grows_proves_what_the_rfc_proves() {
    let lines = lines(70);
    for (old, new) in all_in(0..lines.len() + 1) {
        let growth = growth(&lines[..new], old);
        assert_eq!(
            growth.proof(),
            rfc::proof(old, &lines[..new]),
            "{old} to {new}"
        );
        assert_eq!((growth.old_size(), growth.size()), (old as u64, new as u64));
    }
}

/// A proof does not fix the size of the tree: that is why a checkpoint signs size and root together.
#[test]
fn a_proof_holds_for_no_other_leaf_nor_older_tree() {
    let lines = lines(20);
    let all = leaves(&lines, 0);
    for (index, size) in all_in(0..lines.len() + 1) {
        let root = all.root(size as u64).expect("valid");
        if index < size {
            let proof = all.inclusion(index as u64, size as u64).expect("valid");
            for (other, line) in lines.iter().enumerate() {
                let leaf = leaf_hash(line);
                let holds = verify_inclusion(&leaf, index as u64, size as u64, &proof, &root);
                assert_eq!(holds, other == index, "leaf {other} as {index} of {size}");
                let leaf = leaf_hash(&lines[index]);
                let holds = verify_inclusion(&leaf, other as u64, size as u64, &proof, &root);
                assert_eq!(holds, other == index, "index {other} for {index} of {size}");
            }
        }
        let old = index;
        let proof = all.consistency(old as u64, size as u64).expect("valid");
        for other in 0..=size {
            let other_root = all.root(other as u64).expect("valid");
            let older = (old as u64, &other_root);
            let holds = verify_consistency(older, (size as u64, &root), &proof);
            assert_eq!(holds, other == old, "the root at {other} for {old}");
            let newer = (size as u64, &other_root);
            let old_root = all.root(old as u64).expect("valid");
            let holds = verify_consistency((old as u64, &old_root), newer, &proof);
            // The empty tree says nothing of the one that continues it.
            assert_eq!(
                holds,
                other == size || old == 0,
                "the root at {other} for {size}"
            );
        }
    }
    let root = all.root(5).expect("valid");
    assert!(!verify_consistency((5, &root), (4, &root), &[]));
    assert!(!verify_inclusion(&root, 5, 5, &[], &root));
}

/// The root of a part of a tree, passed off as the root of more leaves.
#[test]
fn a_proof_that_ends_below_the_root_does_not_hold() {
    let lines = lines(2);
    let leaf = leaf_hash(&lines[0]);
    let proof = [leaf_hash(&lines[1])];
    let root = frontier(&lines).root();
    for size in [3, 4, 5, 8] {
        assert!(!verify_inclusion(&leaf, 0, size, &proof, &root));
        assert!(!verify_consistency((1, &leaf), (size, &root), &proof));
    }
    assert!(verify_inclusion(&leaf, 0, 2, &proof, &root));
    assert!(verify_consistency((1, &leaf), (2, &root), &proof));
}

#[test]
fn what_was_pruned_is_an_error_and_no_wrong_proof() {
    let lines = lines(12);
    let pruned = leaves(&lines, 5);
    assert!(pruned.root(4).is_err());
    assert!(pruned.root(13).is_err());
    assert!(pruned.inclusion(4, 12).is_err());
    assert!(pruned.inclusion(12, 12).is_err());
    assert!(pruned.inclusion(6, 13).is_err());
    assert!(pruned.consistency(4, 12).is_err());
    assert!(pruned.consistency(8, 7).is_err());
    assert_eq!(pruned.leaf(4), None);
    assert_eq!(pruned.leaf(12), None);
}

#[test]
fn a_frontier_needs_a_hash_for_each_bit() {
    let frontier = frontier(&lines(6));
    let hashes = frontier.hashes().to_vec();
    assert_eq!(Frontier::from_parts(6, hashes.clone()), Ok(frontier));
    assert!(Frontier::from_parts(7, hashes.clone()).is_err());
    assert!(Frontier::from_parts(8, hashes).is_err());
    assert!(Frontier::from_parts(u64::MAX, vec![[0; 32]; 64]).is_err());
}

proptest! {
    #[test]
    fn any_change_to_a_proof_breaks_it(
        size in 2_usize..600, at in any::<prop::sample::Index>(), change in 1_u8.., byte in 0_usize..32,
    ) {
        let lines = lines(size);
        let all = leaves(&lines, 0);
        let root = frontier(&lines).root();
        let index = at.index(size);
        let leaf = leaf_hash(&lines[index]);
        let (index, size) = (index as u64, size as u64);

        let proof = all.inclusion(index, size).expect("valid");
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root));
        for damaged in damaged(&proof, at.index(proof.len()), byte, change) {
            prop_assert!(!verify_inclusion(&leaf, index, size, &damaged, &root));
        }

        let old = index + 1;
        let old_root = all.root(old).expect("valid");
        let proof = all.consistency(old, size).expect("valid");
        prop_assert!(verify_consistency((old, &old_root), (size, &root), &proof));
        if old < size {
            for damaged in damaged(&proof, at.index(proof.len()), byte, change) {
                prop_assert!(!verify_consistency((old, &old_root), (size, &root), &damaged));
            }
        }
    }

    #[test]
    fn large_trees_grow_like_those_that_are_kept_whole(old in 0_usize..3000, more in 0_usize..3000) {
        let lines = lines(old + more);
        let pruned = leaves(&lines, old);
        let growth = growth(&lines, old);
        let (old_size, size) = (old as u64, lines.len() as u64);
        prop_assert_eq!(pruned.consistency(old_size, size).expect("valid"), growth.proof());
        let (old_root, root) = (frontier(&lines[..old]).root(), frontier(&lines).root());
        prop_assert!(verify_consistency((old_size, &old_root), (size, &root), &growth.proof()));
    }

    /// Whatever stands in a proof, checking it ends.
    #[test]
    fn no_proof_makes_the_check_panic(
        sizes in any::<(u64, u64)>(), hash in any::<Hash>(), proof in prop::collection::vec(any::<Hash>(), 0..130),
    ) {
        prop_assert!(!verify_inclusion(&hash, sizes.0, sizes.1, &proof, &hash) || sizes == (0, 1));
        let _ = verify_consistency((sizes.0, &hash), (sizes.1, &hash), &proof);
    }
}

/// A proof with a changed hash, without its last hash, and with one too many.
fn damaged(proof: &[Hash], at: usize, byte: usize, change: u8) -> Vec<Vec<Hash>> {
    let mut changed = proof.to_vec();
    changed[at][byte] ^= change;
    let longer = [proof, &proof[..1]].concat();
    vec![changed, proof[..proof.len() - 1].to_vec(), longer]
}
