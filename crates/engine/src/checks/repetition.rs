//! The repetition count test, SP 800-90B section 4.4.1.

/// Counts equal bytes in a row, across deliveries.
#[derive(Debug)]
pub(super) struct RepetitionCount {
    cutoff: u32,
    last: u8,
    /// The length of the run that `last` ends; 0 before the first byte.
    run: u32,
}

impl RepetitionCount {
    pub(super) fn new(cutoff: u32) -> Self {
        Self {
            cutoff,
            last: 0,
            run: 0,
        }
    }

    /// Whether no run in `bytes`, nor one that they continue, reaches the cut-off.
    pub(super) fn passes(&mut self, bytes: &[u8]) -> bool {
        let mut longest = 0;
        for byte in bytes {
            self.run = if *byte == self.last { self.run + 1 } else { 1 };
            self.last = *byte;
            longest = longest.max(self.run);
        }
        let passes = longest < self.cutoff;
        if !passes {
            // The delivery is dropped, so the next one does not continue its run.
            self.run = 0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::RepetitionCount;
    use proptest::prelude::*;

    #[test]
    fn the_first_byte_begins_a_run_whatever_it_is() {
        let mut test = RepetitionCount::new(3);
        assert!(test.passes(&[0, 0]));
        assert!(!test.passes(&[0]), "the third in a row");
        assert!(test.passes(&[0, 0]), "a run begins again after a failure");
        assert!(test.passes(&[1, 0, 0, 1, 1, 2]));
        assert!(!test.passes(&[5, 5, 5, 1]));
    }

    proptest! {
        #[test]
        fn a_run_is_found_wherever_it_lies(start in 0_usize..600, length in 1_usize..12) {
            let mut bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
            let other = bytes[start].wrapping_sub(1);
            bytes[start..start + length].fill(other.wrapping_sub(1));
            let mut test = RepetitionCount::new(6);
            prop_assert_eq!(test.passes(&bytes), length < 6);
        }
    }
}
