//! What is asked of which source, and when.

use std::time::Duration;

use super::Engine;
use crate::action::Action;
use crate::ids::SourceId;
use crate::partition::Phase;
use crate::settings::Combine;
use crate::shape::Shape;
use crate::source::{InFlight, Source};
use crate::timers::Timer;

/// Partitions that fall due this soon share the request with those that are due.
const SOON: Duration = Duration::from_millis(200);
/// The request waits this long for partitions that are just being opened.
const GATHER: Duration = Duration::from_millis(250);
/// The most that one request refills the reserve by, so that a due seed never waits long for it.
const REFILL: usize = 64 * 1024;
/// The most that the reserve holds a source, in bytes: it lies in locked memory.
const RESERVE_AT_MOST: usize = 64 * 1024 * 1024;

/// What bytes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Seeds that are due.
    Seeds,
    /// The reserve, which must not delay those.
    Reserve,
}

impl Engine {
    /// Asks for what the partitions that are due need and nobody has brought or is bringing, and
    /// for what the reserve lacks.
    pub(super) fn plan_fetches(&mut self) {
        let waits = self.ready_bytes > 0 && self.gathering();
        let wanted = if self.ready_bytes > 0 && !waits {
            self.ready_bytes + self.bytes_due_soon()
        } else {
            0
        };
        match self.combine {
            Combine::Failover => self.plan_in_turn(wanted, waits),
            Combine::Xor => self.plan_each(wanted, waits),
        }
    }

    /// Whether the request waits, since more partitions will be open in a moment.
    fn gathering(&mut self) -> bool {
        let opening = self.workers.values().any(|worker| {
            worker.is_up()
                && (!worker.to_open.sound.is_empty()
                    || worker
                        .calls
                        .values()
                        .any(|call| call.opens() && !call.doubtful))
        });
        if !opening {
            self.gather_until = None;
            self.timers.set(Timer::Gather, None);
            return false;
        }
        let until = *self.gather_until.get_or_insert(self.now + GATHER);
        if until > self.now {
            self.timers.set(Timer::Gather, Some(until));
        }
        until > self.now
    }

    fn bytes_due_soon(&self) -> usize {
        self.timers
            .until(self.now + SOON)
            .filter_map(|(at, timer)| match timer {
                Timer::Partition(id) => self.partitions.get(&id).map(|partition| (at, partition)),
                _ => None,
            })
            .filter(|(at, partition)| {
                matches!(partition.phase, Phase::Idle)
                    && at.since(self.now) <= partition.settings.period / 10
            })
            .map(|(_, partition)| partition.settings.size)
            .sum()
    }

    /// Every source brings all of what is wanted.
    fn plan_each(&mut self, wanted: usize, waits: bool) {
        for id in self.source_order.clone() {
            let source = &self.sources[&id];
            let missing = source.missing(wanted);
            if missing > 0 {
                self.ask(id, missing, For::Seeds);
            } else if !waits && let Some(lacking) = self.reserve_lacks(source.reservoir.available())
            {
                self.ask(id, lacking, For::Reserve);
            }
        }
    }

    /// The sources bring together what is wanted, the first healthy one as much as it can.
    fn plan_in_turn(&mut self, wanted: usize, waits: bool) {
        let coming: usize = self.sources.values().map(Source::coming).sum();
        let usable: usize = self.sources.values().map(Source::available).sum();
        if wanted > usable + coming {
            self.ask_in_turn(wanted - usable - coming, For::Seeds);
        } else if !waits {
            let held: usize = self.sources.values().map(|s| s.reservoir.available()).sum();
            let held = held + coming;
            if let Some(lacking) = self.reserve_lacks(held) {
                self.ask_in_turn(lacking, For::Reserve);
            }
        }
    }

    /// Asks the first healthy source for `bytes`, and those before it for as little as shows
    /// whether they are healthy again: nobody waits for them. Seeds do not wait either for a
    /// source that its rate limit holds back while another one may be asked.
    ///
    /// Where none is healthy, each is tried like that; a single one is asked for everything at
    /// once.
    fn ask_in_turn(&mut self, bytes: usize, what: For) {
        let single = self.source_order.len() == 1;
        for id in self.source_order.clone() {
            let source = &self.sources[&id];
            let healthy = !source.failing();
            let bytes = if healthy || single {
                bytes
            } else {
                bytes.min(self.smallest_seed)
            };
            let bytes = source.with_start_up(bytes);
            self.ask(id, bytes, what);
            let source = &self.sources[&id];
            let serves = source.in_flight.is_some() || what == For::Reserve;
            if healthy && serves && !source.budget.exhausted {
                return;
            }
        }
    }

    /// The bytes that the reserve lacks beside `held`, where it is worth a request: large ones
    /// that are far between.
    fn reserve_lacks(&self, held: usize) -> Option<usize> {
        let target = self.reserve_target;
        (held < target - target / 8).then(|| (target - held).min(REFILL))
    }

    /// Whether a request for the reserve leaves enough places for seeds that fall due: half of
    /// them, and where there is one place only, what is held must serve until that is free again.
    fn reserve_may_ask(&mut self, id: SourceId) -> bool {
        let now = self.now;
        let Some(source) = self.sources.get_mut(&id) else {
            return false;
        };
        let Some(rate) = source.settings.rate_limit else {
            return true;
        };
        let free = source.rate.free(now);
        if rate.requests > 1 {
            return free > rate.requests / 2;
        }
        let until = now + rate.per * 2;
        free > 0 && self.bytes_due(until) <= self.bytes_for_seeds()
    }

    /// The bytes of open partitions that fall due up to `until`.
    fn bytes_due(&self, until: crate::Moment) -> usize {
        self.timers
            .until(until)
            .filter_map(|(_, timer)| match timer {
                Timer::Partition(id) => self.partitions.get(&id),
                _ => None,
            })
            .filter(|partition| matches!(partition.phase, Phase::Idle))
            .map(|partition| partition.settings.size)
            .sum()
    }

    /// Asks a source for `bytes`, or for as many as one request can bring, if it may be asked now.
    fn ask(&mut self, id: SourceId, bytes: usize, what: For) {
        let now = self.now;
        let (seed_size, smallest_seed) = (self.seed_size, self.smallest_seed);
        let may_be_asked = |s: &Source| s.may_be_asked(now) && !(self.once && s.is_out());
        if !self.sources.get(&id).is_some_and(may_be_asked) {
            return;
        }
        let allowed = what == For::Seeds || self.reserve_may_ask(id);
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        let free = source.rate.free(now);
        if free == 0 || !allowed {
            let at = source.rate.next_free();
            self.timers.set(Timer::Source(id), at);
            return;
        }
        // A budget is used up to its last whole seed, and never exceeded.
        let left = usize::try_from(source.budget.left()).unwrap_or(usize::MAX);
        let shape = Shape::towards(bytes.min(left), seed_size, source.limits);
        // Where that is more than is left, since requests have a least size, perhaps one seed's is
        // not.
        let shape = if shape.bytes() > left {
            Shape::towards(smallest_seed, seed_size, source.limits)
        } else {
            shape
        };
        if left < smallest_seed || shape.bytes() > left {
            self.budget_exhausted(id);
            return;
        }
        // A spare place for a second try where a kept connection was closed meanwhile.
        let places = match what {
            For::Seeds => free.min(2),
            For::Reserve => 1,
        };
        source.rate.leave(places);
        let request = self.new_request();
        if let Some(source) = self.sources.get_mut(&id) {
            source.in_flight = Some(InFlight {
                request,
                shape,
                began: now,
                places,
            });
        }
        if what == For::Seeds {
            self.gather_until = None;
        }
        self.act(Action::Fetch {
            source: id,
            request,
            shape,
            spare_attempt: places > 1,
        });
    }

    /// The bytes that all partitions need to ride out an outage as long as the reserve covers.
    pub(super) fn set_reserve_target(&mut self) {
        self.reserve_target = self.reserve.map_or(0, |reserve| {
            self.partitions
                .values()
                .map(|partition| {
                    let seeds = reserve
                        .cover
                        .as_millis()
                        .div_ceil(partition.settings.period.as_millis().max(1));
                    let seeds = usize::try_from(seeds).unwrap_or(usize::MAX);
                    partition.settings.size.saturating_mul(seeds)
                })
                .fold(0, usize::saturating_add)
                .min(RESERVE_AT_MOST)
        });
    }
}
