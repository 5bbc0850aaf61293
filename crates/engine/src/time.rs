//! The engine's time: monotonic, counted from the daemon's start, told by the caller.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on the caller's monotonic clock, counted from an origin of the caller's choice.
///
/// Steps of the wall clock do not touch it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The origin.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment `since_start` after the origin.
    #[must_use]
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time since the origin.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this moment; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The first multiple of `period`, counted from the origin, that lies after this moment.
    ///
    /// Partitions of one period thereby fall due together, and a missed period is not made up for.
    ///
    /// # Panics
    /// If `period` is zero.
    #[must_use]
    pub fn next_multiple(self, period: Duration) -> Self {
        const NANOS: u128 = 1_000_000_000;
        let period = period.as_nanos();
        let next = (self.0.as_nanos() / period + 1) * period;
        Self(Duration::new(
            u64::try_from(next / NANOS).expect("some milliards of years are enough"),
            u32::try_from(next % NANOS).expect("less than a second"),
        ))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use std::time::Duration;

    #[test]
    fn the_next_multiple_is_strictly_later() {
        let ten = Duration::from_secs(10);
        let at = |ms| Moment::new(Duration::from_millis(ms));
        assert_eq!(at(0).next_multiple(ten), at(10_000));
        assert_eq!(at(9_999).next_multiple(ten), at(10_000));
        assert_eq!(at(10_000).next_multiple(ten), at(20_000));
        assert_eq!(at(35_000).next_multiple(ten), at(40_000));
    }
}
