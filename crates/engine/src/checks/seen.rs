//! Remembers delivered blocks, so that a replayed answer is noticed.

/// Bytes a remembered block; what is shorter repeats by chance too often.
const BLOCK: usize = 16;
/// Blocks that are remembered: the last 4 MiB of a source.
const REMEMBERED: usize = 1 << 18;
/// Slots of the first table; more are taken as it fills.
const FIRST_SLOTS: usize = 64;
/// Blocks that are looked up together.
const BATCH: usize = 32;
/// A slot that holds no digest.
const EMPTY: u64 = 0;

/// 64-bit keyed digests of the last blocks, oldest first; memory is taken as it fills, 6 MiB at
/// most.
///
/// Two different blocks share a digest with a probability of 2^-64, so one of the remembered ones
/// is met by chance once in 2^46 blocks.
#[derive(Debug)]
pub(super) struct SeenBefore {
    keys: [u64; 2],
    /// Every digest, the oldest at `oldest` once all places are taken.
    order: Vec<u64>,
    oldest: usize,
    /// The same digests, to be looked up: open addressing, at most half full.
    slots: Vec<u64>,
}

impl SeenBefore {
    pub(super) fn new(key: u64) -> Self {
        Self {
            keys: [key, key.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15],
            order: Vec::new(),
            oldest: 0,
            slots: vec![EMPTY; FIRST_SLOTS],
        }
    }

    /// Whether no 16 bytes of `bytes`, aligned within their delivered block of `block_size`, were
    /// delivered before. They are remembered either way.
    pub(super) fn passes(&mut self, bytes: &[u8], block_size: usize) -> bool {
        let mut unseen = true;
        let mut digests = [EMPTY; BATCH];
        for block in bytes.chunks(block_size.max(1)) {
            let (parts, _) = block.as_chunks::<BLOCK>();
            for batch in parts.chunks(BATCH) {
                for (digest, part) in digests.iter_mut().zip(batch) {
                    *digest = self.digest(part);
                }
                let digests = &digests[..batch.len()];
                self.bring_near(digests);
                for digest in digests {
                    unseen &= self.remember(*digest);
                }
            }
        }
        unseen
    }

    /// Reads the slots that a batch is about to need: the reads overlap, where one after the other
    /// would each wait for the memory.
    fn bring_near(&self, digests: &[u64]) {
        let about_to_go = self.order.iter().skip(self.oldest).take(digests.len());
        let near = digests
            .iter()
            .chain(about_to_go)
            .fold(0, |near, digest| near ^ self.slots[self.home(*digest)]);
        std::hint::black_box(near);
    }

    /// Whether `digest` was not known yet.
    fn remember(&mut self, digest: u64) -> bool {
        if self.slots[self.slot_of(digest)] == digest {
            return false;
        }
        if self.order.len() < REMEMBERED {
            self.order.push(digest);
            if self.order.len() * 2 > self.slots.len() {
                self.grow();
                return true;
            }
        } else {
            let forgotten = std::mem::replace(&mut self.order[self.oldest], digest);
            self.oldest = (self.oldest + 1) % REMEMBERED;
            self.forget(forgotten);
        }
        let slot = self.slot_of(digest);
        self.slots[slot] = digest;
        true
    }

    /// `SipHash` with one round a word and three at the end, for 16 bytes and so without a length.
    /// Keyed and one-way: what it leaves in memory says nothing about the bytes that were injected.
    fn digest(&self, part: &[u8; BLOCK]) -> u64 {
        let (words, _) = part.as_chunks::<8>();
        let [k0, k1] = self.keys;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        for word in words {
            let word = u64::from_le_bytes(*word);
            v[3] ^= word;
            sip_round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..3 {
            sip_round(&mut v);
        }
        (v[0] ^ v[1] ^ v[2] ^ v[3]).max(EMPTY + 1)
    }

    /// Where a digest belongs in the first place.
    fn home(&self, digest: u64) -> usize {
        usize::try_from(digest & (self.slots.len() as u64 - 1)).expect("less than the slots")
    }

    /// The slot that holds the digest, or the empty one where it would be put.
    fn slot_of(&self, digest: u64) -> usize {
        let mut slot = self.home(digest);
        while self.slots[slot] != digest && self.slots[slot] != EMPTY {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    /// Empties a digest's slot and moves those behind it up that would not be found any more.
    fn forget(&mut self, digest: u64) {
        let mask = self.slots.len() - 1;
        let mut gap = self.slot_of(digest);
        let mut slot = gap;
        loop {
            self.slots[gap] = EMPTY;
            let moved = loop {
                slot = (slot + 1) & mask;
                let other = self.slots[slot];
                if other == EMPTY {
                    return;
                }
                let from_home = slot.wrapping_sub(self.home(other)) & mask;
                if from_home >= slot.wrapping_sub(gap) & mask {
                    break other;
                }
            };
            self.slots[gap] = moved;
            gap = slot;
        }
    }

    fn grow(&mut self) {
        self.slots = vec![EMPTY; self.slots.len() * 2];
        for digest in std::mem::take(&mut self.order) {
            let slot = self.slot_of(digest);
            self.slots[slot] = digest;
            self.order.push(digest);
        }
    }
}

fn sip_round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::{EMPTY, REMEMBERED, SeenBefore};
    use proptest::prelude::*;
    use std::collections::VecDeque;

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
        assert!(seen.passes(&block(1), 16), "the next one made room for it");
        let held = seen.slots.iter().filter(|slot| **slot != EMPTY).count();
        assert_eq!((held, seen.order.len()), (REMEMBERED, REMEMBERED));
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

    proptest! {
        /// The table holds exactly what was put in and not taken out, wherever digests crowd.
        #[test]
        fn forgetting_one_loses_no_other(digests in prop::collection::vec(1_u64..400, 1..200)) {
            let mut seen = SeenBefore::new(1);
            seen.slots = vec![EMPTY; 256];
            let mut held = VecDeque::new();
            for digest in digests {
                // Many of them belong into the same few slots.
                let digest = digest % 16 * 16 + digest / 16 * 256 + 1;
                if held.contains(&digest) {
                    continue;
                }
                if held.len() == 100 {
                    let oldest = held.pop_front().expect("a hundred");
                    seen.forget(oldest);
                }
                let slot = seen.slot_of(digest);
                seen.slots[slot] = digest;
                held.push_back(digest);
                for known in &held {
                    prop_assert_eq!(seen.slots[seen.slot_of(*known)], *known);
                }
                let filled = seen.slots.iter().filter(|slot| **slot != EMPTY).count();
                prop_assert_eq!(filled, held.len());
            }
        }
    }
}
