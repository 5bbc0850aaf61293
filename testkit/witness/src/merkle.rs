//! Merkle trees as RFC 6962 has them.

use aws_lc_rs::digest::{SHA256, digest};

/// The root of a tree, or of a part of it.
pub(crate) type Hash = [u8; 32];

/// SHA-256.
pub(crate) fn sha256(data: &[u8]) -> Hash {
    let hash = digest(&SHA256, data);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], &left[..], &right[..]].concat())
}

/// Whether the proof leads from the old tree to the new one (RFC 9162, section 2.1.4.2).
pub(crate) fn is_consistent(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if old == 0 {
        return proof.is_empty();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let mut path = Vec::new();
    if old.is_power_of_two() {
        path.push(*old_root);
    }
    path.extend(proof);
    let Some((&first, rest)) = path.split_first() else {
        return false;
    };
    let (mut in_old, mut in_new) = (old - 1, new - 1);
    while in_old & 1 == 1 {
        in_old >>= 1;
        in_new >>= 1;
    }
    let (mut was, mut is) = (first, first);
    for hash in rest {
        if in_new == 0 {
            return false;
        }
        if in_old & 1 == 1 || in_old == in_new {
            was = node(hash, &was);
            is = node(hash, &is);
            while in_old & 1 == 0 && in_old != 0 {
                in_old >>= 1;
                in_new >>= 1;
            }
        } else {
            is = node(&is, hash);
        }
        in_old >>= 1;
        in_new >>= 1;
    }
    in_new == 0 && was == *old_root && is == *new_root
}

#[cfg(test)]
mod tests {
    use super::{Hash, is_consistent, node, sha256};

    /// The root of some leaves, by the definition.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&root(left), &root(right))
            }
        }
    }

    /// RFC 6962, section 2.1.2, by the definition.
    fn proof(old: usize, leaves: &[Hash], is_whole: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if is_whole { vec![] } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut proof, sibling) = if old <= left.len() {
            (self::proof(old, left, is_whole), root(right))
        } else {
            (self::proof(old - left.len(), right, false), root(left))
        };
        proof.push(sibling);
        proof
    }

    #[test]
    fn proofs_by_the_definition_hold_and_others_do_not() {
        let leaves: Vec<Hash> = (0..20_u8).map(|leaf| sha256(&[0, leaf])).collect();
        for new in 1..leaves.len() {
            for old in 1..=new {
                let proof = proof(old, &leaves[..new], true);
                let (was, is) = (root(&leaves[..old]), root(&leaves[..new]));
                let holds = |was, is, proof: &[Hash]| {
                    is_consistent((old as u64, was), (new as u64, is), proof)
                };
                assert!(holds(&was, &is, &proof), "{old} {new}");
                assert!(!holds(&[7; 32], &is, &proof), "{old} {new}");
                assert!(!holds(&was, &[7; 32], &proof), "{old} {new}");
                assert!(!holds(&was, &is, &[&proof[..], &[is]].concat()));
                if let [rest @ .., _] = &proof[..] {
                    assert!(!holds(&was, &is, rest), "{old} {new}");
                }
            }
        }
        assert!(is_consistent((0, &[0; 32]), (5, &[1; 32]), &[]));
        assert!(!is_consistent((0, &[0; 32]), (5, &[1; 32]), &[[2; 32]]));
    }
}
