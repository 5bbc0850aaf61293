//! The sources: what each is asked, what it brought, and what seeds are made of.

mod exchanges;
mod planning;

use std::collections::BTreeMap;
use std::time::Duration;

use qseed_model::Limits;

use crate::checks::{Checks, SeenBefore};
use crate::fact::Fact;
use crate::ids::{RequestId, SourceId};
use crate::reservoir::MadeOf;
use crate::settings::{Combine, Reserve, SourceSettings};
use crate::source::Source;
use crate::time::Moment;
use crate::timers::Timer;
use crate::turn::Turn;
use crate::view::SourceView;

pub(crate) use planning::Demand;

#[derive(Debug)]
pub(crate) struct Sources {
    combine: Combine,
    /// The kernel's random bytes are mixed into each seed by XOR.
    pub(crate) mix_local: bool,
    reserve: Option<Reserve>,
    by_id: BTreeMap<SourceId, Source>,
    /// In the configuration's order.
    order: Vec<SourceId>,
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
    /// Partitions that open one after the other are asked for together, until then at most.
    gather_until: Option<Moment>,
}

impl Sources {
    /// No sources. `key` is that of the digests by which a repeated delivery is known.
    pub(crate) fn new(key: u64) -> Self {
        Self {
            combine: Combine::Failover,
            mix_local: false,
            reserve: None,
            by_id: BTreeMap::new(),
            order: Vec::new(),
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
            if let Some(source) = self.by_id.get_mut(&source) {
                source.rate.restore(now, ages);
            }
        }
    }

    pub(crate) fn configure(
        &mut self,
        turn: &mut Turn<'_>,
        combine: Combine,
        reserve: Option<Reserve>,
        wanted: Vec<SourceSettings>,
    ) {
        self.combine = combine;
        self.reserve = reserve;
        self.order = wanted.iter().map(|settings| settings.id).collect();
        let gone: Vec<SourceId> = self
            .by_id
            .keys()
            .filter(|id| !self.order.contains(id))
            .copied()
            .collect();
        for id in gone {
            self.by_id.remove(&id);
            turn.emit(Fact::SourceRemoved(id));
            turn.timers.set(Timer::Source(id), None);
            turn.timers.set(Timer::Expiry(id), None);
        }
        for settings in wanted {
            let id = settings.id;
            match self.by_id.get_mut(&id) {
                Some(source) if source.settings.revision == settings.revision => {
                    if source.settings.limits != settings.limits {
                        source.limits = settings.limits;
                    }
                    source.rate.set(settings.rate_limit);
                    let startup = settings.startup_bytes as usize;
                    source.startup_left = source.startup_left.min(startup);
                    source.settings = settings;
                    // The operator may have mended what failed.
                    source.retry();
                }
                _ => {
                    let mut source = Source::new(settings);
                    if let Some(before) = self.by_id.remove(&id) {
                        // The rate limit holds for the service, whatever is configured here.
                        source.take_over(before, turn.now);
                        turn.emit(Fact::SourceRemoved(id));
                    }
                    self.by_id.insert(id, source);
                }
            }
            self.arm_expiry(turn, id);
        }
    }

    /// Takes in what one request may ask for.
    pub(crate) fn set_limits(&mut self, id: SourceId, limits: Limits) {
        if let Some(source) = self.by_id.get_mut(&id) {
            source.limits = limits;
        }
    }

    /// The bytes that the next seed may have.
    pub(crate) fn available(&self) -> usize {
        let held = self.by_id.values().map(Source::available);
        match self.combine {
            Combine::Failover => held.sum(),
            Combine::Xor => held.min().unwrap_or(0),
        }
    }

    /// Counts where the bytes of a seed ended: in a token, or nobody knows where.
    pub(crate) fn count(&mut self, made_of: &MadeOf, injected: bool) {
        for portion in &made_of.portions {
            if let Some(source) = self.by_id.get_mut(&portion.source) {
                let count = if injected {
                    &mut source.counts.injected
                } else {
                    &mut source.counts.discarded
                };
                *count += portion.bytes as u64;
            }
        }
    }

    /// Every source as it stands, in the configuration's order.
    pub(crate) fn views(&self) -> impl Iterator<Item = SourceView> {
        self.order.iter().filter_map(|id| self.view(*id))
    }

    /// One source as it stands.
    pub(crate) fn view(&self, id: SourceId) -> Option<SourceView> {
        let source = self.by_id.get(&id)?;
        let failing = source.failing_since;
        let known = source.up_since.is_some() || failing.is_some();
        Some(SourceView {
            id,
            name: source.settings.name.clone(),
            up: known.then_some(!source.is_out()),
            refused: source.refused,
            since: failing.or(source.up_since),
            not_before: source.not_before,
            counts: source.counts.clone(),
            reserved: source.reservoir.available() as u64,
            last_error: source.last_error.clone(),
        })
    }

    /// Whether no seed is to be had but from what is held.
    pub(crate) fn are_out(&self) -> bool {
        let out = |id: &SourceId| self.by_id[id].is_out();
        match self.combine {
            Combine::Failover => self.order.iter().all(out),
            Combine::Xor => self.order.iter().any(out),
        }
    }

    pub(crate) fn any_is_out(&self) -> bool {
        self.by_id.values().any(Source::is_out)
    }

    /// Whether what a reserve holds is not enough for a seed.
    pub(crate) fn reserve_is_empty(&self) -> bool {
        self.reserve.is_some() && self.available() < self.smallest_seed
    }

    /// Since when the last of those that fail does.
    pub(crate) fn failing_since(&self) -> Option<Moment> {
        self.by_id.values().filter_map(|s| s.failing_since).max()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn new_request(&mut self) -> RequestId {
        self.requests_made += 1;
        RequestId(self.requests_made)
    }
}
