//! Proofs about records of a ledger that is too long for its hashes to be kept.
//!
//! [`Blocks`] keeps one hash for each block of 256 records. From that and from the hashes of one
//! block, which a second reading brings, follow the proofs of all records of the block.

use crate::Error;
use crate::tree::{Frontier, Hash, Leaves};

/// The height of a block's tree.
const HEIGHT: u32 = 8;

/// The records of a block: 256.
pub const BLOCK: u64 = 1 << HEIGHT;

/// The tree of a ledger, with one hash for each block.
#[derive(Debug)]
pub struct Blocks {
    before: Frontier,
    tree: Frontier,
    /// The block that is not complete yet.
    block: Frontier,
    /// The blocks, each by its root as if it was a leaf.
    roots: Leaves,
}

impl Blocks {
    /// No records yet, after those of the frontier.
    #[must_use]
    pub fn new(before: &Frontier) -> Self {
        let [blocks, block] = divided(before);
        Self {
            before: before.clone(),
            tree: before.clone(),
            block,
            roots: Leaves::new(&blocks),
        }
    }

    /// Appends a record by its leaf's hash.
    pub fn append(&mut self, leaf: Hash) {
        self.tree.append(leaf);
        self.block.append(leaf);
        if self.block.size() == BLOCK {
            self.roots.append(self.block.root());
            self.block = Frontier::new();
        }
    }

    /// The tree of all records so far.
    #[must_use]
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// No more records come: proofs can be made.
    #[must_use]
    pub fn finish(mut self) -> Proofs {
        let size = self.tree.size();
        if self.block.size() > 0 {
            self.roots.append(self.block.root());
        }
        Proofs {
            size,
            roots: self.roots,
            block: Leaves::new(&divided(&self.before)[1]),
            at: self.before.size(),
        }
    }
}

/// Makes the proofs of the records of one block after the other.
#[derive(Debug)]
pub struct Proofs {
    size: u64,
    roots: Leaves,
    block: Leaves,
    at: u64,
}

impl Proofs {
    /// The records of the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the leaf's hash of the next record once more. True: the block is complete, so that
    /// [`Proofs::inclusion`] knows its records until the next leaf comes.
    pub fn read(&mut self, leaf: Hash) -> bool {
        if self.at.is_multiple_of(BLOCK) {
            self.block = Leaves::new(&Frontier::new());
        }
        self.block.append(leaf);
        self.at += 1;
        self.at.is_multiple_of(BLOCK) || self.at == self.size
    }

    /// The proof that a record of the block is in the tree, from the leaf's sibling upwards.
    ///
    /// # Errors
    /// If the record is not of the block that was read last.
    pub fn inclusion(&self, seq: u64) -> Result<Vec<Hash>, Error> {
        let number = self.at.saturating_sub(1) >> HEIGHT;
        if seq >> HEIGHT != number {
            return Err(Error::Leaves {
                wanted: seq,
                first: number << HEIGHT,
                size: self.at,
            });
        }
        let mut proof = self.block.inclusion(seq % BLOCK, self.block.size())?;
        let blocks = self.size.div_ceil(BLOCK);
        proof.extend(self.roots.inclusion(number, blocks)?);
        Ok(proof)
    }
}

/// A tree's frontier as that of its complete blocks and that of the incomplete one.
fn divided(frontier: &Frontier) -> [Frontier; 2] {
    let size = frontier.size();
    let (blocks, rest) = (size >> HEIGHT, size % BLOCK);
    let (left, right) = frontier.hashes().split_at(blocks.count_ones() as usize);
    [(blocks, left), (rest, right)].map(|(size, hashes)| {
        Frontier::from_parts(size, hashes.to_vec()).expect("a hash for each 1 bit of the size")
    })
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Blocks};
    use crate::tree::{Frontier, Hash, Leaves, leaf_hash, verify_inclusion};

    fn leaf(seq: u64) -> Hash {
        leaf_hash(&seq.to_be_bytes())
    }

    fn frontier(size: u64) -> Frontier {
        let mut frontier = Frontier::new();
        (0..size).for_each(|seq| frontier.append(leaf(seq)));
        frontier
    }

    /// The tree that keeps all of its hashes makes the same proofs.
    #[test]
    fn every_record_has_its_proof_whatever_was_pruned() {
        for (first, size) in [
            (0, 1),
            (0, 255),
            (0, BLOCK),
            (0, 257),
            (0, 1300),
            (1, 2),
            (100, 300),
            (255, 256),
            (256, 700),
            (777, 1025),
        ] {
            let before = frontier(first);
            let (mut blocks, mut leaves) = (Blocks::new(&before), Leaves::new(&before));
            for seq in first..size {
                blocks.append(leaf(seq));
                leaves.append(leaf(seq));
            }
            let root = blocks.tree().root();
            assert_eq!(root, frontier(size).root());
            let mut proofs = blocks.finish();
            let mut proved = 0;
            let mut begun = first;
            for seq in first..size {
                if !proofs.read(leaf(seq)) {
                    continue;
                }
                for seq in begun..=seq {
                    let proof = proofs.inclusion(seq).expect("of this block");
                    assert_eq!(proof, leaves.inclusion(seq, size).expect("here"));
                    assert!(verify_inclusion(&leaf(seq), seq, size, &proof, &root));
                    proved += 1;
                }
                begun = seq + 1;
            }
            assert_eq!(proved, size - first, "from {first} to {size}");
        }
    }

    #[test]
    fn records_of_other_blocks_have_no_proof_now() {
        let mut blocks = Blocks::new(&Frontier::new());
        (0..600).for_each(|seq| blocks.append(leaf(seq)));
        let mut proofs = blocks.finish();
        (0..300).for_each(|seq| {
            proofs.read(leaf(seq));
        });
        assert!(proofs.inclusion(10).is_err() && proofs.inclusion(400).is_err());
    }
}
