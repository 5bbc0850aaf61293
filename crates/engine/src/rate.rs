//! The rate limit: a sliding window that holds as the service counts, not as we do.

use std::collections::VecDeque;

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
    /// When the requests that still hold a place were answered, in order.
    answered: VecDeque<Moment>,
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
            .is_some_and(|answered| *answered + rate.per <= now)
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
            .map(|answered| *answered + rate.per)
    }

    /// Takes `places` for one exchange that leaves now.
    pub(crate) fn leave(&mut self, places: u32) {
        self.in_flight += places;
    }

    /// The exchange that took `places` has ended, having sent `sent` requests.
    pub(crate) fn answered(&mut self, now: Moment, places: u32, sent: u32) {
        self.in_flight = self.in_flight.saturating_sub(places);
        self.answered
            .extend(std::iter::repeat_n(now, sent.min(places) as usize));
    }

    /// Takes over the places that were taken under an earlier configuration. An exchange under
    /// way was abandoned when that ended: what had not arrived by now never will.
    pub(crate) fn take_over(&mut self, before: Self, now: Moment) {
        self.answered = before.answered;
        self.answered
            .extend(std::iter::repeat_n(now, before.in_flight as usize));
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
