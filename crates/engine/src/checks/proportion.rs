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
    pub(super) fn passes(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(byte) = bytes.first() {
            if self.seen == 0 {
                self.first = *byte;
                self.count = 0;
            }
            let left = (self.window - self.seen) as usize;
            let (here, rest) = bytes.split_at(left.min(bytes.len()));
            self.count += count(here, self.first);
            self.seen = (self.seen + to_u32(here.len())) % self.window;
            bytes = rest;
            if self.count >= self.cutoff {
                // The delivery is dropped: the next one begins a window.
                self.seen = 0;
                return false;
            }
        }
        true
    }
}

#[expect(
    clippy::naive_bytecount,
    reason = "the compiler makes vector instructions of it, and a crate for one line is too many"
)]
fn count(bytes: &[u8], of: u8) -> u32 {
    to_u32(bytes.iter().filter(|byte| **byte == of).count())
}

fn to_u32(at_most_a_window: usize) -> u32 {
    u32::try_from(at_most_a_window).expect("a window is shorter than 2^32 bytes")
}

#[cfg(test)]
mod tests {
    use super::AdaptiveProportion;

    #[test]
    fn a_window_counts_across_deliveries_and_then_begins_anew() {
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
