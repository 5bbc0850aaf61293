//! Remembers delivered blocks, so that a replayed answer is noticed.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Check;
use crate::ids::SourceId;

/// Bytes a remembered block; what is shorter repeats by chance too often.
pub(super) const BLOCK: usize = 16;
/// Blocks that are remembered: the last 4 MiB of all sources.
const REMEMBERED: usize = 1 << 18;

/// The last blocks that the sources delivered, as 64-bit keyed digests: what stays in memory says
/// nothing about bytes that were injected. Memory is taken as it fills, 11 MiB at most.
///
/// Two different blocks share a digest with a probability of 2^-64, so one of the remembered ones
/// is met by chance once in 2^46 blocks.
///
/// All sources share one memory: the same bytes from two sources would be injected twice, or
/// cancel each other out under XOR.
#[derive(Debug)]
pub struct SeenBefore {
    key: u64,
    delivered_by: HashMap<u64, SourceId>,
    oldest_first: VecDeque<u64>,
}

impl SeenBefore {
    /// An empty memory; `key` keys the digests.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self {
            key,
            delivered_by: HashMap::new(),
            oldest_first: VecDeque::new(),
        }
    }

    /// Whether no 16 bytes of `bytes`, aligned within their delivered block of `block_size`, were
    /// delivered before. They are remembered either way.
    pub(super) fn examine(
        &mut self,
        source: SourceId,
        bytes: &[u8],
        block_size: usize,
    ) -> Result<(), Check> {
        let mut result = Ok(());
        for block in bytes.chunks(block_size.max(1)) {
            for part in block.chunks_exact(BLOCK) {
                let seen = self.remember(source, part);
                result = result.and(seen);
            }
        }
        result
    }

    fn remember(&mut self, source: SourceId, part: &[u8]) -> Result<(), Check> {
        let digest = self.digest(part);
        if let Some(other) = self.delivered_by.get(&digest) {
            return Err(if *other == source {
                Check::SeenBefore
            } else {
                Check::OtherSource
            });
        }
        if self.oldest_first.len() == REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.delivered_by.remove(&oldest);
        }
        self.oldest_first.push_back(digest);
        self.delivered_by.insert(digest, source);
        Ok(())
    }

    fn digest(&self, part: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        hasher.write(part);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED, SeenBefore};
    use crate::checks::Check;
    use crate::ids::SourceId;

    const A: SourceId = SourceId(1);

    fn block(number: usize) -> [u8; 16] {
        (number as u128).to_le_bytes()
    }

    #[test]
    fn the_last_blocks_are_remembered_and_older_ones_forgotten() {
        let mut seen = SeenBefore::new(9);
        for number in 0..=REMEMBERED {
            assert_eq!(seen.examine(A, &block(number), 16), Ok(()));
        }
        for known in [REMEMBERED, 1] {
            let again = seen.examine(A, &block(known), 16);
            assert_eq!(again, Err(Check::SeenBefore));
        }
        let forgotten = seen.examine(A, &block(0), 16);
        assert_eq!(forgotten, Ok(()), "forgotten by one");
        let next = seen.examine(A, &block(1), 16);
        assert_eq!(next, Ok(()), "the next one made room for it");
        assert_eq!(seen.delivered_by.len(), REMEMBERED);
        assert_eq!(seen.oldest_first.len(), REMEMBERED);
    }

    #[test]
    fn alignment_is_within_the_delivered_block() {
        let mut seen = SeenBefore::new(9);
        let twenty: Vec<u8> = (0..20).collect();
        assert_eq!(seen.examine(A, &twenty, 20), Ok(()));
        let again = [&[99; 20][..], &twenty].concat();
        assert_eq!(seen.examine(A, &again, 20), Err(Check::SeenBefore));
    }

    #[test]
    fn blocks_of_less_than_16_bytes_are_not_remembered() {
        let mut seen = SeenBefore::new(9);
        for _ in 0..2 {
            assert_eq!(seen.examine(A, &[7; 15], 15), Ok(()));
        }
    }

    #[test]
    fn a_block_of_another_source_is_told_apart() {
        let mut seen = SeenBefore::new(9);
        assert_eq!(seen.examine(A, &block(5), 16), Ok(()));
        let other = seen.examine(SourceId(2), &block(5), 16);
        assert_eq!(other, Err(Check::OtherSource));
    }
}
