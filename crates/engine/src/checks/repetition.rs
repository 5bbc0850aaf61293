//! The repetition count test, SP 800-90B section 4.4.1.

/// Counts equal bytes in a row, across deliveries.
#[derive(Debug)]
pub(super) struct RepetitionCount {
    cutoff: u32,
    last: Option<u8>,
    run: u32,
}

impl RepetitionCount {
    pub(super) fn new(cutoff: u32) -> Self {
        Self {
            cutoff,
            last: None,
            run: 0,
        }
    }

    /// Whether no run in `bytes`, nor one that they continue, reaches the cut-off.
    pub(super) fn passes(&mut self, bytes: &[u8]) -> bool {
        let mut longest = 0;
        for byte in bytes {
            if self.last == Some(*byte) {
                self.run += 1;
            } else {
                self.last = Some(*byte);
                self.run = 1;
            }
            longest = longest.max(self.run);
        }
        let passes = longest < self.cutoff;
        if !passes {
            // The delivery is dropped, so the next one does not continue its run.
            self.last = None;
            self.run = 0;
        }
        passes
    }
}
