//! How many messages a worker may send: a number for each message that it gets, and some a second
//! for calls that make progress. A worker that sends more is hostile or broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Slots that one listing may have.
const SLOTS: u64 = 20_000;

/// What is left of a worker's messages.
pub(super) struct Allowance {
    left: u64,
    earned: Earned,
    a_second: u64,
    since: Instant,
}

/// The messages that a worker may send in answer to the daemon's.
#[derive(Clone, Debug)]
pub(super) struct Earned {
    messages: Arc<AtomicU64>,
    each: u64,
    /// The most that are saved up, except for a listing.
    most: u64,
}

impl Earned {
    /// The worker gets one more message.
    pub(super) fn add(&self, for_listing: bool) {
        if for_listing {
            self.messages.fetch_add(SLOTS, Ordering::Relaxed);
        } else if self.messages.load(Ordering::Relaxed) < self.most {
            self.messages.fetch_add(self.each, Ordering::Relaxed);
        }
    }
}

impl Allowance {
    /// For a worker that makes `concurrency` calls at once.
    pub(super) fn new(concurrency: u16, now: Instant) -> Self {
        let calls = u64::from(concurrency.max(1));
        let most = 256 + 32 * calls;
        Self {
            left: most,
            earned: Earned {
                messages: Arc::default(),
                // After one verdict, all others that wait for the same login try again.
                each: 4 + 2 * calls,
                most,
            },
            // A call reports progress ten times a second at most.
            a_second: 16 * calls,
            since: now,
        }
    }

    pub(super) fn earned(&self) -> Earned {
        self.earned.clone()
    }

    /// Uses one message up. `false` if none is left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            let passed = now.duration_since(self.since).as_millis();
            let by_time = u64::try_from(u128::from(self.a_second) * passed / 1_000);
            let by_time = by_time.unwrap_or(u64::MAX).min(self.earned.most);
            self.left = by_time + self.earned.messages.swap(0, Ordering::Relaxed);
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Allowance, SLOTS};

    fn messages(allowance: &mut Allowance, now: Instant) -> u64 {
        (0..100_000).take_while(|_| allowance.spend(now)).count() as u64
    }

    #[test]
    fn a_worker_may_send_what_its_calls_need_and_no_more() {
        let mut now = Instant::now();
        let mut allowance = Allowance::new(8, now);
        let earned = allowance.earned();
        assert_eq!(messages(&mut allowance, now), 512, "what it starts with");
        // Eight calls that move on for a day.
        for _ in 0..86_400 {
            now += Duration::from_secs(1);
            assert!((0..80).all(|_| allowance.spend(now)));
        }
        // A million seeds, each of which is answered.
        for _ in 0..1_000_000 {
            earned.add(false);
            assert!(allowance.spend(now));
        }
        // It has been idle for a day and saved up no flood.
        now += Duration::from_secs(86_400);
        assert!(messages(&mut allowance, now) < 2_000);
        earned.add(true);
        assert_eq!(messages(&mut allowance, now), SLOTS);
    }
}
