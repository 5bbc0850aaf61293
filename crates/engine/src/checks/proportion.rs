//! The adaptive proportion test, SP 800-90B section 4.4.2.

/// Counts how often a window's first byte occurs in the window, across deliveries.
#[derive(Debug)]
pub(super) struct AdaptiveProportion {
    window: u32,
    cutoff: u32,
    first: u8,
    count: u32,
    /// Samples of the window that were seen; 0 before its first one.
    seen: u32,
}

impl AdaptiveProportion {
    pub(super) fn new(window: u32, cutoff: u32) -> Self {
        Self {
            window,
            cutoff,
            first: 0,
            count: 0,
            seen: 0,
        }
    }

    /// Whether no window that `bytes` belong to reaches the cut-off.
    pub(super) fn passes(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if self.seen == 0 {
                self.first = *byte;
                self.count = 0;
            }
            self.count += u32::from(*byte == self.first);
            self.seen = (self.seen + 1) % self.window;
            if self.count >= self.cutoff {
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
    use super::AdaptiveProportion;

    #[test]
    fn a_window_counts_across_deliveries_and_then_begins_again() {
        let mut test = AdaptiveProportion::new(8, 3);
        assert!(test.passes(&[1, 1, 2, 3]));
        assert!(!test.passes(&[1, 4]), "the third 1 of the window");
        assert!(test.passes(&[1, 1, 2, 3, 4, 5, 6, 7]));
        assert!(
            test.passes(&[9, 1, 1, 1, 1, 1, 1, 1]),
            "only the first byte is counted"
        );
    }
}
