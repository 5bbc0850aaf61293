//! Waiting between tries: exponential with jitter.

use std::time::Duration;

use crate::random::Random;

/// The shortest wait.
const FLOOR: Duration = Duration::from_secs(1);
/// The longest wait: one back-off step of the contract.
pub(crate) const CEILING: Duration = Duration::from_secs(60);
/// Doublings until the ceiling is reached.
const STEPS: u32 = 6;

/// Counts failures in a row and says how long to wait after each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes a failure and returns a wait, uniform between 1 s and a bound that doubles with each
    /// failure from 2 s to 60 s, so that many daemons that failed together do not return together.
    pub(crate) fn failed(&mut self, random: &mut Random) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let bound = FLOOR
            .saturating_mul(1 << self.failures.min(STEPS))
            .min(CEILING);
        FLOOR + random.up_to(bound.saturating_sub(FLOOR))
    }

    /// Notes a success.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, CEILING, FLOOR};
    use crate::random::Random;

    #[test]
    fn waits_grow_from_one_second_to_one_minute() {
        let mut random = Random::new(1);
        for _ in 0..1000 {
            let mut backoff = Backoff::default();
            assert!(backoff.failed(&mut random) <= 2 * FLOOR);
            assert!(backoff.failed(&mut random) <= 4 * FLOOR);
            for _ in 0..40 {
                let wait = backoff.failed(&mut random);
                assert!((FLOOR..=CEILING).contains(&wait));
            }
        }
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let mut random = Random::new(2);
        let mut backoff = Backoff { failures: 40 };
        let waits: Vec<_> = (0..1000).map(|_| backoff.failed(&mut random)).collect();
        assert!(waits.iter().filter(|wait| **wait < CEILING / 2).count() > 400);
        assert!(waits.iter().filter(|wait| **wait > CEILING / 2).count() > 400);
    }
}
