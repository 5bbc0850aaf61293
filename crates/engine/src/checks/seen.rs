//! Remembers delivered blocks, so that a replayed answer is noticed.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

/// Bytes a remembered block; what is shorter repeats by chance too often.
const BLOCK: usize = 16;
/// Blocks that are remembered: the last 4 MiB of a source.
const REMEMBERED: usize = 1 << 18;

/// 64-bit keyed digests of the last blocks, oldest first; memory is taken as it fills.
///
/// Two different blocks share a digest with a probability of 2^-64, so one of the remembered ones
/// is met by chance once in 2^46 blocks.
#[derive(Debug)]
pub(super) struct SeenBefore {
    key: u64,
    known: HashSet<u64, BuildHasherDefault<Digested>>,
    order: VecDeque<u64>,
}

impl SeenBefore {
    pub(super) fn new(key: u64) -> Self {
        Self {
            key,
            known: HashSet::default(),
            order: VecDeque::new(),
        }
    }

    /// Whether no 16 bytes of `bytes`, aligned within their delivered block of `block_size`, were
    /// delivered before. They are remembered either way.
    pub(super) fn passes(&mut self, bytes: &[u8], block_size: usize) -> bool {
        let mut unseen = true;
        for block in bytes.chunks(block_size.max(1)) {
            for part in block.chunks_exact(BLOCK) {
                unseen &= self.remember(part);
            }
        }
        unseen
    }

    /// Whether `part` was not known yet.
    fn remember(&mut self, part: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.key);
        hasher.write(part);
        let digest = hasher.finish();
        if !self.known.insert(digest) {
            return false;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(digest);
        true
    }
}

/// The set's hash of a digest is the digest.
#[derive(Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only digests are hashed, as numbers");
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED, SeenBefore};

    fn block(number: usize) -> [u8; 16] {
        (number as u128).to_le_bytes()
    }

    #[test]
    fn the_last_blocks_are_remembered_and_older_ones_forgotten() {
        let mut seen = SeenBefore::new(9);
        for number in 0..=REMEMBERED {
            assert!(seen.passes(&block(number), 16));
        }
        assert!(!seen.passes(&block(REMEMBERED), 16));
        assert!(!seen.passes(&block(1), 16));
        assert!(seen.passes(&block(0), 16), "forgotten by one");
        assert_eq!(seen.known.len(), REMEMBERED);
    }

    #[test]
    fn alignment_is_within_the_delivered_block() {
        let mut seen = SeenBefore::new(9);
        let twenty: Vec<u8> = (0..20).collect();
        assert!(seen.passes(&twenty, 20));
        let again = [&[99; 20][..], &twenty].concat();
        assert!(!seen.passes(&again, 20));
        let mut seen = SeenBefore::new(9);
        assert!(seen.passes(&twenty[..15], 15) && seen.passes(&twenty[..15], 15));
    }
}
