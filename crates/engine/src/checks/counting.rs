//! The counting tests of SP 800-90B section 4.4: of a byte that is repeated, and of one that occurs
//! too often. Their counts run on across deliveries.
//!
//! The cut-offs are those for H = 8 bits of entropy a byte and a false alarm with a probability of
//! 2^-40 a test: at 48 bytes every 10 s the repetition test then cries wolf once in some thousands
//! of years, and nobody switches it off.

/// The repetition count test fails at so many equal bytes in a row: 1 + ceil(40 / 8).
const REPETITION_CUTOFF: u32 = 6;
/// Bytes a window of the adaptive proportion test.
const WINDOW: u32 = 512;
/// The adaptive proportion test fails if a window's first byte occurs in it so many times:
/// 1 + critbinom(512, 2^-8, 1 - 2^-40).
const PROPORTION_CUTOFF: u32 = 19;

/// Counts equal bytes in a row (section 4.4.1).
#[derive(Debug, Default)]
pub(super) struct RepetitionCount {
    last: u8,
    /// The length of the run that `last` ends; 0 before the first byte.
    run: u32,
}

impl RepetitionCount {
    /// Whether no run in `bytes`, nor one that they continue, reaches the cut-off.
    pub(super) fn passes(&mut self, bytes: &[u8]) -> bool {
        let mut longest = 0;
        for byte in bytes {
            self.run = if *byte == self.last { self.run + 1 } else { 1 };
            self.last = *byte;
            longest = longest.max(self.run);
        }
        let passes = longest < REPETITION_CUTOFF;
        if !passes {
            // The delivery is dropped, so the next one does not continue its run.
            self.run = 0;
        }
        passes
    }
}

/// Counts how often a window's first byte occurs in the window (section 4.4.2).
#[derive(Debug, Default)]
pub(super) struct AdaptiveProportion {
    first: u8,
    count: u32,
    /// Bytes of the window that were seen; 0 before its first one.
    seen: u32,
}

impl AdaptiveProportion {
    /// Whether no window that `bytes` belong to reaches the cut-off.
    pub(super) fn passes(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if self.seen == 0 {
                self.first = *byte;
                self.count = 0;
            }
            self.count += u32::from(*byte == self.first);
            self.seen = (self.seen + 1) % WINDOW;
            if self.count >= PROPORTION_CUTOFF {
                // The delivery is dropped: the next one begins a window.
                self.seen = 0;
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        AdaptiveProportion, PROPORTION_CUTOFF, REPETITION_CUTOFF, RepetitionCount, WINDOW,
    };

    #[test]
    fn the_first_byte_begins_a_run_whatever_it_is() {
        let mut test = RepetitionCount::default();
        assert!(test.passes(&[0; 5]));
        assert!(!test.passes(&[0]), "the sixth in a row");
        assert!(test.passes(&[0; 5]), "a run begins again after a failure");
        assert!(test.passes(&[1, 0, 0, 1, 1, 2]));
        assert!(!test.passes(&[5, 5, 5, 5, 5, 5, 1]));
    }

    proptest! {
        #[test]
        fn a_run_is_found_wherever_it_lies(start in 0_usize..600, length in 1_usize..12) {
            let mut bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
            let other = bytes[start].wrapping_sub(1);
            bytes[start..start + length].fill(other.wrapping_sub(1));
            let mut test = RepetitionCount::default();
            prop_assert_eq!(test.passes(&bytes), length < 6);
        }
    }

    /// `ones` bytes 1, and bytes 2 to fill a window up to `length`.
    fn window(ones: usize, length: usize) -> Vec<u8> {
        let mut bytes = vec![2; length];
        bytes[..ones].fill(1);
        bytes
    }

    #[test]
    fn a_window_counts_across_deliveries_and_then_begins_again() {
        let mut test = AdaptiveProportion::default();
        assert!(test.passes(&window(18, 200)));
        assert!(!test.passes(&[1, 4]), "the nineteenth 1 of the window");
        assert!(test.passes(&window(18, 512)));
        let others = [&[9][..], &[1; 511]].concat();
        assert!(test.passes(&others), "only the first byte is counted");
    }

    /// The probability of at least `count` successes in a window, each of 2^-8.
    fn tail(count: u32) -> f64 {
        let (n, p) = (f64::from(WINDOW), 2_f64.powi(-8));
        let mut term = (1.0 - p).powf(n);
        let mut terms = Vec::new();
        for k in 0..=WINDOW {
            terms.push(term);
            term *= (n - f64::from(k)) / f64::from(k + 1) * p / (1.0 - p);
        }
        terms[count as usize..].iter().rev().sum()
    }

    #[test]
    fn cutoffs_are_those_of_the_standard() {
        let alpha = 2_f64.powi(-40);
        assert_eq!(REPETITION_CUTOFF, 1 + 40_u32.div_ceil(8));
        assert!(tail(PROPORTION_CUTOFF) <= alpha && tail(PROPORTION_CUTOFF - 1) > alpha);
    }
}
