//! What is asked of which source, and when.

use std::time::Duration;

use super::Sources;
use crate::action::Action;
use crate::ids::SourceId;
use crate::partitions::Partitions;
use crate::settings::{Combine, PartitionSettings, Reserve};
use crate::shape::towards;
use crate::source::{InFlight, Source};
use crate::timers::Timer;
use crate::turn::Turn;

/// The request waits this long for partitions that are just being opened.
const GATHER: Duration = Duration::from_millis(250);
/// The most that one request refills the reserve by, so that a due seed never waits long for it.
const REFILL: usize = 64 * 1024;
/// The most that the reserve holds a source, in bytes: it lies in locked memory.
const RESERVE_AT_MOST: usize = 64 * 1024 * 1024;

/// What the partitions need.
pub(crate) struct Demand<'a> {
    /// The bytes that partitions which are due and open wait for.
    pub(crate) ready: usize,
    /// Whether partitions are being opened that will want theirs in a moment.
    pub(crate) opening: bool,
    pub(crate) partitions: &'a Partitions,
}

/// What bytes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Seeds that are due.
    Seeds,
    /// The reserve, which must not delay those.
    Reserve,
}

impl Sources {
    /// Asks for what the partitions that are due need and nobody has brought or is bringing, and
    /// for what the reserve lacks.
    pub(crate) fn plan(&mut self, turn: &mut Turn<'_>, demand: &Demand<'_>) {
        let waits = demand.ready > 0 && self.gathering(turn, demand.opening);
        let wanted = if demand.ready > 0 && !waits {
            demand.ready + demand.partitions.bytes_due_soon(turn.timers, turn.now)
        } else {
            0
        };
        match self.combine {
            Combine::Failover => self.plan_in_turn(turn, demand, wanted, waits),
            Combine::Xor => self.plan_each(turn, demand, wanted, waits),
        }
    }

    /// Whether the request waits, since more partitions will be open in a moment.
    fn gathering(&mut self, turn: &mut Turn<'_>, opening: bool) -> bool {
        if !opening {
            self.gather_until = None;
            turn.timers.set(Timer::Gather, None);
            return false;
        }
        let until = *self.gather_until.get_or_insert(turn.now + GATHER);
        if until > turn.now {
            turn.timers.set(Timer::Gather, Some(until));
        }
        until > turn.now
    }

    /// Every source brings all of what is wanted.
    fn plan_each(&mut self, turn: &mut Turn<'_>, demand: &Demand<'_>, wanted: usize, waits: bool) {
        for id in self.order.clone() {
            let source = &self.by_id[&id];
            let missing = source.missing(wanted);
            if missing > 0 {
                self.ask(turn, demand, id, missing, For::Seeds);
            } else if !waits && let Some(lacking) = self.reserve_lacks(source.reservoir.available())
            {
                self.ask(turn, demand, id, lacking, For::Reserve);
            }
        }
    }

    /// The sources bring together what is wanted, the first healthy one as much as it can.
    fn plan_in_turn(
        &mut self,
        turn: &mut Turn<'_>,
        demand: &Demand<'_>,
        wanted: usize,
        waits: bool,
    ) {
        let coming: usize = self.by_id.values().map(Source::coming).sum();
        let usable: usize = self.by_id.values().map(Source::available).sum();
        if wanted > usable + coming {
            self.ask_in_turn(turn, demand, wanted - usable - coming, For::Seeds);
        } else if !waits {
            let held: usize = self.by_id.values().map(|s| s.reservoir.available()).sum();
            let held = held + coming;
            if let Some(lacking) = self.reserve_lacks(held) {
                self.ask_in_turn(turn, demand, lacking, For::Reserve);
            }
        }
    }

    /// Asks the first healthy source for `bytes`, and those before it for as little as shows
    /// whether they are healthy again: nobody waits for them. Seeds do not wait either for a
    /// source that its rate limit holds back while another one may be asked.
    ///
    /// Where none is healthy, each is tried like that; a single one is asked for everything at
    /// once.
    fn ask_in_turn(&mut self, turn: &mut Turn<'_>, demand: &Demand<'_>, bytes: usize, what: For) {
        let single = self.order.len() == 1;
        for id in self.order.clone() {
            let source = &self.by_id[&id];
            let healthy = !source.failing();
            let bytes = if healthy || single {
                bytes
            } else {
                bytes.min(self.smallest_seed)
            };
            let bytes = source.with_start_up(bytes);
            self.ask(turn, demand, id, bytes, what);
            let source = &self.by_id[&id];
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
    fn reserve_may_ask(&mut self, turn: &mut Turn<'_>, demand: &Demand<'_>, id: SourceId) -> bool {
        let now = turn.now;
        let Some(source) = self.by_id.get_mut(&id) else {
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
        free > 0 && demand.partitions.bytes_due(turn.timers, until) <= self.available()
    }

    /// Asks a source for `bytes`, or for as many as one request can bring, if it may be asked now.
    fn ask(
        &mut self,
        turn: &mut Turn<'_>,
        demand: &Demand<'_>,
        id: SourceId,
        bytes: usize,
        what: For,
    ) {
        let now = turn.now;
        let (seed_size, smallest_seed) = (self.seed_size, self.smallest_seed);
        let may_be_asked = |s: &Source| s.may_be_asked(now) && !(turn.once && s.is_out());
        if !self.by_id.get(&id).is_some_and(may_be_asked) {
            return;
        }
        let allowed = what == For::Seeds || self.reserve_may_ask(turn, demand, id);
        let Some(source) = self.by_id.get_mut(&id) else {
            return;
        };
        let free = source.rate.free(now);
        if free == 0 || !allowed {
            let at = source.rate.next_free();
            turn.timers.set(Timer::Source(id), at);
            return;
        }
        // A budget is used up to its last whole seed, and never exceeded.
        let left = usize::try_from(source.budget.left()).unwrap_or(usize::MAX);
        let shape = towards(bytes.min(left), seed_size, source.limits);
        // Where that is more than is left, since requests have a least size, perhaps one seed's is
        // not.
        let shape = if shape.bytes() > left {
            towards(smallest_seed, seed_size, source.limits)
        } else {
            shape
        };
        if left < smallest_seed || shape.bytes() > left {
            self.budget_exhausted(turn, id);
            return;
        }
        // A spare place for a second try where a kept connection was closed meanwhile.
        let places = match what {
            For::Seeds => free.min(2),
            For::Reserve => 1,
        };
        source.rate.leave(places);
        let request = self.new_request();
        if let Some(source) = self.by_id.get_mut(&id) {
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
        turn.act(Action::Fetch {
            source: id,
            request,
            shape,
            spare_attempt: places > 1,
        });
    }

    /// Takes in which partitions are to be served.
    pub(crate) fn serve(&mut self, partitions: &Partitions) {
        let mut sizes = partitions.values().map(|p| p.settings.size);
        let first = sizes.next();
        self.seed_size = first.filter(|first| sizes.all(|size| size == *first));
        let sizes = partitions.values().map(|p| p.settings.size);
        self.smallest_seed = sizes.min().unwrap_or(1);
        let all = self.reserve.map_or(0, |reserve| {
            let needs = partitions
                .values()
                .map(|p| reserve_of(&p.settings, reserve));
            needs.fold(0, usize::saturating_add)
        });
        self.reserve_target = all.min(RESERVE_AT_MOST);
    }
}

/// The bytes that a partition needs to ride out an outage as long as the reserve covers.
fn reserve_of(partition: &PartitionSettings, reserve: Reserve) -> usize {
    let period = partition.period.as_millis().max(1);
    let seeds = reserve.cover.as_millis().div_ceil(period);
    let seeds = usize::try_from(seeds).unwrap_or(usize::MAX);
    partition.size.saturating_mul(seeds)
}
