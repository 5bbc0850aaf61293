//! The rate limit: a sliding window that holds as the service counts, not as we do.

use std::collections::VecDeque;
use std::time::Duration;

use crate::settings::Rate;
use crate::time::Moment;

/// Says when the next request may leave.
///
/// A service counts a request when it arrives, which is some time between our sending it and our
/// having its answer. A place in the window is therefore taken when a request leaves and comes
/// free one window after its *answer*: however long requests travel, the service never sees more
/// than the limit in a window.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    rate: Option<Rate>,
    in_flight: u32,
    /// The requests that still hold a place, in order.
    answered: VecDeque<Answered>,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    at: Moment,
    /// How long before `at` it was, where that is before this process began.
    before: Duration,
}

impl Answered {
    fn ends(self, rate: Rate) -> Moment {
        self.at + rate.per.saturating_sub(self.before)
    }
}

impl RateLimit {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            in_flight: 0,
            answered: VecDeque::new(),
        }
    }

    /// Changes the limit; what was sent before counts under the new one.
    pub(crate) fn set(&mut self, rate: Option<Rate>) {
        self.rate = rate;
    }

    /// How many requests may leave now.
    pub(crate) fn free(&mut self, now: Moment) -> u32 {
        let Some(rate) = self.rate else {
            self.answered.clear();
            return u32::MAX;
        };
        while self
            .answered
            .front()
            .is_some_and(|answered| answered.ends(rate) <= now)
        {
            self.answered.pop_front();
        }
        let taken = self.in_flight + u32::try_from(self.answered.len()).unwrap_or(u32::MAX);
        rate.requests.saturating_sub(taken)
    }

    /// When a place comes free, if all are taken by requests that were answered.
    pub(crate) fn next_free(&self) -> Option<Moment> {
        let rate = self.rate?;
        // Where the limit was lowered, more hold a place than there are.
        let excess =
            (self.answered.len() + self.in_flight as usize).saturating_sub(rate.requests as usize);
        self.answered
            .get(excess)
            .map(|answered| answered.ends(rate))
    }

    /// Takes `places` for one exchange that leaves now.
    pub(crate) fn leave(&mut self, places: u32) {
        self.in_flight += places;
    }

    /// The exchange that took `places` has ended, having sent `sent` requests.
    pub(crate) fn answered(&mut self, now: Moment, places: u32, sent: u32) {
        self.in_flight = self.in_flight.saturating_sub(places);
        self.hold(now, sent.min(places));
    }

    /// Counts requests that an earlier process sent, by the time since then.
    pub(crate) fn restore(&mut self, now: Moment, mut ages: Vec<Duration>) {
        ages.sort_unstable_by(|a, b| b.cmp(a));
        let earlier = ages.into_iter().map(|before| Answered { at: now, before });
        let later = std::mem::take(&mut self.answered);
        self.answered = earlier.chain(later).collect();
    }

    fn hold(&mut self, at: Moment, places: u32) {
        let before = Duration::ZERO;
        let answered = Answered { at, before };
        self.answered
            .extend(std::iter::repeat_n(answered, places as usize));
    }

    /// Takes over the places that were taken under an earlier configuration. An exchange under
    /// way was abandoned when that ended: what had not arrived by now never will.
    pub(crate) fn take_over(&mut self, before: Self, now: Moment) {
        self.answered = before.answered;
        self.hold(now, before.in_flight);
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimit;
    use crate::settings::Rate;
    use crate::time::Moment;
    use std::time::Duration;

    fn at(secs: u64) -> Moment {
        Moment::new(Duration::from_secs(secs))
    }

    #[test]
    fn a_place_comes_free_one_window_after_the_answer() {
        let mut limit = RateLimit::new(Some(Rate {
            requests: 2,
            per: Duration::from_secs(10),
        }));
        limit.leave(1);
        limit.leave(1);
        assert_eq!(limit.free(at(100)), 0);
        limit.answered(at(100), 1, 1);
        assert_eq!(limit.free(at(109)), 0);
        assert_eq!(limit.next_free(), Some(at(110)));
        assert_eq!(limit.free(at(110)), 1);
    }

    #[test]
    fn requests_of_an_earlier_process_hold_their_places_for_the_rest_of_the_window() {
        let mut limit = RateLimit::new(Some(Rate {
            requests: 3,
            per: Duration::from_secs(10),
        }));
        limit.leave(1);
        limit.answered(at(1), 1, 1);
        limit.restore(at(1), [2, 30, 7].map(Duration::from_secs).to_vec());
        assert_eq!((limit.free(at(3)), limit.free(at(4))), (0, 1));
        assert_eq!((limit.free(at(8)), limit.free(at(9))), (1, 2));
        assert_eq!(limit.free(at(11)), 3);
    }

    #[test]
    fn a_request_that_never_left_gives_its_place_back() {
        let mut limit = RateLimit::new(Some(Rate {
            requests: 2,
            per: Duration::from_secs(10),
        }));
        limit.leave(2);
        assert_eq!(limit.free(at(0)), 0);
        limit.answered(at(0), 2, 1);
        assert_eq!(limit.free(at(0)), 1);
    }

    #[test]
    fn a_lowered_limit_counts_what_was_sent_before() {
        let rate = |requests, secs| {
            Some(Rate {
                requests,
                per: Duration::from_secs(secs),
            })
        };
        let mut limit = RateLimit::new(rate(3, 10));
        for second in 0..3 {
            limit.leave(1);
            limit.answered(at(second), 1, 1);
        }
        limit.set(rate(1, 60));
        assert_eq!(limit.free(at(50)), 0);
        assert_eq!(limit.next_free(), Some(at(62)));
        assert_eq!(limit.free(at(62)), 1);
    }

    #[test]
    fn an_abandoned_exchange_holds_its_places_for_a_window() {
        let rate = Some(Rate {
            requests: 2,
            per: Duration::from_secs(10),
        });
        let mut before = RateLimit::new(rate);
        before.leave(2);
        let mut limit = RateLimit::new(rate);
        limit.take_over(before, at(5));
        assert_eq!((limit.free(at(14)), limit.free(at(15))), (0, 2));
    }
}
