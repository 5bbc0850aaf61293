//! Plans requests: which source, how many bytes, when.

use std::time::Duration;

use super::Sources;
use crate::action::Action;
use crate::context::Context;
use crate::fleet::Partitions;
use crate::ids::RequestId;
use crate::settings::{Combine, PartitionSettings, Reserve};
use crate::shape::towards;
use crate::source::{InFlight, Source};
use crate::timers::Timer;

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

/// What the bytes of a request are for.
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
    pub(crate) fn plan(&mut self, context: &mut Context, demand: &Demand<'_>) {
        let waits = demand.ready > 0 && self.gathering(context, demand.opening);
        let wanted = if demand.ready > 0 && !waits {
            demand.ready
                + demand
                    .partitions
                    .bytes_due_soon(&context.timers, context.now)
        } else {
            0
        };
        match self.combine {
            Combine::Failover => self.plan_in_turn(context, demand, wanted, waits),
            Combine::Xor => self.plan_each(context, demand, wanted, waits),
        }
    }

    /// Whether the request waits, since more partitions will be open in a moment.
    fn gathering(&mut self, context: &mut Context, opening: bool) -> bool {
        if !opening {
            self.gather_until = None;
            context.timers.set(Timer::Gather, None);
            return false;
        }
        let until = *self.gather_until.get_or_insert(context.now + GATHER);
        if until > context.now {
            context.timers.set(Timer::Gather, Some(until));
        }
        until > context.now
    }

    /// Every source brings all of what is wanted.
    fn plan_each(
        &mut self,
        context: &mut Context,
        demand: &Demand<'_>,
        wanted: usize,
        waits: bool,
    ) {
        for at in 0..self.list.len() {
            let source = &self.list[at];
            let missing = source.missing(wanted);
            if missing > 0 {
                self.ask(context, demand, at, missing, For::Seeds);
            } else if !waits && let Some(lacking) = self.reserve_lacks(source.reservoir.available())
            {
                self.ask(context, demand, at, lacking, For::Reserve);
            }
        }
    }

    /// The sources bring together what is wanted, the first healthy one as much as it can.
    fn plan_in_turn(
        &mut self,
        context: &mut Context,
        demand: &Demand<'_>,
        wanted: usize,
        waits: bool,
    ) {
        let coming: usize = self.list.iter().map(Source::coming).sum();
        let usable: usize = self.list.iter().map(Source::available).sum();
        if wanted > usable + coming {
            self.ask_in_turn(context, demand, wanted - usable - coming, For::Seeds);
        } else if !waits {
            let held: usize = self.list.iter().map(|s| s.reservoir.available()).sum();
            let held = held + coming;
            if let Some(lacking) = self.reserve_lacks(held) {
                self.ask_in_turn(context, demand, lacking, For::Reserve);
            }
        }
    }

    /// Asks the first healthy source for `bytes`, and those before it for as little as shows
    /// whether they are healthy again: nobody waits for them. Seeds do not wait either for a
    /// source that its rate limit holds back while another one may be asked.
    ///
    /// Where none is healthy, each is tried like that; a single one is asked for everything at
    /// once.
    fn ask_in_turn(&mut self, context: &mut Context, demand: &Demand<'_>, bytes: usize, what: For) {
        let single = self.list.len() == 1;
        for at in 0..self.list.len() {
            let source = &self.list[at];
            let healthy = !source.failing();
            let bytes = if healthy || single {
                bytes
            } else {
                bytes.min(self.smallest_seed)
            };
            let bytes = source.with_start_up(bytes);
            self.ask(context, demand, at, bytes, what);
            let source = &self.list[at];
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
    fn reserve_may_ask(
        &self,
        context: &Context,
        demand: &Demand<'_>,
        at: usize,
        free: u32,
    ) -> bool {
        match self.list[at].settings.rate_limit {
            None => true,
            Some(rate) if rate.requests > 1 => free > rate.requests / 2,
            Some(rate) => {
                let until = context.now + rate.per * 2;
                demand.partitions.bytes_due(&context.timers, until) <= self.available()
            }
        }
    }

    /// Asks the source at this place of the list for `bytes`, or for as many as one request can
    /// bring, if it may be asked now.
    fn ask(
        &mut self,
        context: &mut Context,
        demand: &Demand<'_>,
        at: usize,
        bytes: usize,
        what: For,
    ) {
        let source = &mut self.list[at];
        let id = source.settings.id;
        if !source.may_be_asked(context.now) || (context.once && source.is_out()) {
            return;
        }
        let free = source.rate.free(context.now);
        let allowed = what == For::Seeds || self.reserve_may_ask(context, demand, at, free);
        let source = &mut self.list[at];
        if free == 0 || !allowed {
            context
                .timers
                .set(Timer::Source(id), source.rate.next_free());
            return;
        }
        // A budget is used up to its last whole seed, and never exceeded.
        let left = usize::try_from(source.budget.left()).unwrap_or(usize::MAX);
        let shape = towards(bytes.min(left), self.seed_size, source.limits);
        // Where that is more than is left, since requests have a least size, perhaps one seed's is
        // not.
        let shape = if shape.bytes() > left {
            towards(self.smallest_seed, self.seed_size, source.limits)
        } else {
            shape
        };
        if left < self.smallest_seed || shape.bytes() > left {
            self.budget_exhausted(context, id);
            return;
        }
        // A spare place for a second try where a kept connection was closed meanwhile.
        let places = match what {
            For::Seeds => free.min(2),
            For::Reserve => 1,
        };
        source.rate.leave(places);
        self.requests_made += 1;
        let request = RequestId(self.requests_made);
        source.in_flight = Some(InFlight {
            request,
            shape,
            began: context.now,
            places,
        });
        if what == For::Seeds {
            self.gather_until = None;
        }
        context.act(Action::Fetch {
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
