//! The sources: requests, deliveries, and the seeds made of them.

mod exchanges;
mod planning;

use std::time::Duration;

use qseed_model::Limits;

use crate::checks::{Checks, SeenBefore};
use crate::context::Context;
use crate::fact::{Fact, SourceFact};
use crate::ids::SourceId;
use crate::settings::{Combine, Reserve, SourceSettings};
use crate::source::Source;
use crate::time::Moment;
use crate::timers::Timer;
use crate::view::SourceView;

pub(crate) use planning::Demand;

#[derive(Debug)]
pub(crate) struct Sources {
    combine: Combine,
    /// The kernel's random bytes are mixed into each seed by XOR.
    mix_local: bool,
    reserve: Option<Reserve>,
    /// No source delivers, and the reserve was found empty since then.
    reserve_ran_out: bool,
    /// In the configuration's order.
    list: Vec<Source>,
    /// What all sources delivered.
    seen: SeenBefore,
    /// Judges seeds that are the XOR of several sources' bytes.
    xored: Checks,
    requests_made: u64,
    /// The size of every partition's seed, where it is one.
    seed_size: Option<usize>,
    /// The size of the smallest seed.
    smallest_seed: usize,
    /// The bytes that the reserve is to hold.
    reserve_target: usize,
    /// Until when a request waits for partitions that are being opened.
    gather_until: Option<Moment>,
}

impl Sources {
    /// No sources. `key` is that of the digests by which a repeated delivery is known.
    pub(crate) fn new(key: u64) -> Self {
        Self {
            combine: Combine::Failover,
            mix_local: false,
            reserve: None,
            reserve_ran_out: false,
            list: Vec::new(),
            seen: SeenBefore::new(key),
            xored: Checks::default(),
            requests_made: 0,
            seed_size: None,
            smallest_seed: 1,
            reserve_target: 0,
            gather_until: None,
        }
    }

    /// Counts requests that earlier processes sent, by the time since then.
    pub(crate) fn restore(&mut self, now: Moment, sent_before: Vec<(SourceId, Vec<Duration>)>) {
        for (source, ages) in sent_before {
            if let Some(source) = self.get_mut(source) {
                source.rate.restore(now, ages);
            }
        }
    }

    pub(crate) fn configure(
        &mut self,
        context: &mut Context,
        combine: Combine,
        mix_local: bool,
        reserve: Option<Reserve>,
        wanted: Vec<SourceSettings>,
    ) {
        self.combine = combine;
        self.mix_local = mix_local;
        self.reserve = reserve;
        let mut before = std::mem::take(&mut self.list);
        for settings in wanted {
            let id = settings.id;
            let known = before.iter().position(|source| source.settings.id == id);
            let source = match known.map(|at| before.remove(at)) {
                Some(mut source) if source.settings.revision == settings.revision => {
                    source.reconfigure(settings);
                    source
                }
                Some(before) => {
                    context.emit(Fact::Source(before.named(), SourceFact::Removed));
                    let mut source = Source::new(settings);
                    // The rate limit holds for the service, whatever is configured here.
                    source.take_over(before, context.now);
                    source
                }
                None => Source::new(settings),
            };
            self.list.push(source);
            self.arm_expiry(context, id);
        }
        for gone in before {
            let id = gone.settings.id;
            context.emit(Fact::Source(gone.named(), SourceFact::Removed));
            context.timers.set(Timer::Source(id), None);
            context.timers.set(Timer::Expiry(id), None);
        }
    }

    /// Takes in what one request may ask for.
    pub(crate) fn set_limits(&mut self, id: SourceId, limits: Limits) {
        if let Some(source) = self.get_mut(id) {
            source.limits = limits;
        }
    }

    /// The bytes that the next seed may have.
    pub(crate) fn available(&self) -> usize {
        let held = self.list.iter().map(Source::available);
        match self.combine {
            Combine::Failover => held.sum(),
            Combine::Xor => held.min().unwrap_or(0),
        }
    }

    /// Every source as it stands, in the configuration's order.
    pub(crate) fn views(&self) -> impl Iterator<Item = SourceView> {
        self.list.iter().map(|source| SourceView {
            id: source.settings.id,
            name: source.settings.name.clone(),
            reserved: source.reservoir.available() as u64,
            last_error: source.last_error.clone(),
        })
    }

    /// Whether no source delivers. Emits once that the reserve ran out, too.
    pub(crate) fn check_if_out(&mut self, context: &mut Context, wanted: usize) -> bool {
        let out = self.are_out();
        if !out {
            self.reserve_ran_out = false;
        } else if wanted > 0
            && self.reserve_is_empty()
            && !std::mem::replace(&mut self.reserve_ran_out, true)
        {
            context.emit(Fact::ReserveEmpty);
        }
        out
    }

    /// Whether no seed is to be had but from what is held.
    fn are_out(&self) -> bool {
        match self.combine {
            Combine::Failover => self.list.iter().all(Source::is_out),
            Combine::Xor => self.any_is_out(),
        }
    }

    pub(crate) fn any_is_out(&self) -> bool {
        self.list.iter().any(Source::is_out)
    }

    /// Whether what a reserve holds is not enough for a seed.
    fn reserve_is_empty(&self) -> bool {
        self.reserve.is_some() && self.available() < self.smallest_seed
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    fn get(&self, id: SourceId) -> Option<&Source> {
        self.list.iter().find(|source| source.settings.id == id)
    }

    fn get_mut(&mut self, id: SourceId) -> Option<&mut Source> {
        find(&mut self.list, id)
    }
}

fn find(list: &mut [Source], id: SourceId) -> Option<&mut Source> {
    list.iter_mut().find(|source| source.settings.id == id)
}
