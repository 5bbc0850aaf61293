//! Decides which facts are worth a line of the log.
//!
//! A fault that goes on is announced when it starts, at growing intervals and when it ends, and
//! thousands of partitions that fail together get a few lines. The engine decides nothing by what
//! is announced.

mod lateness;
mod repeats;

use std::collections::BTreeSet;
use std::time::Duration;

pub use repeats::Repeats;

use crate::event::TokenFault;
use crate::fact::{Fact, PartitionFact, Process, SourceFact, WorkerFact};
use crate::ids::{ModuleId, Named, PartitionId, SourceId, WorkerRole};
use crate::reservoir::MadeOf;
use crate::time::Moment;
use crate::view::PartitionState;
use lateness::Lateness;
use repeats::Faults;

/// Faults of partitions that get a line each in a window; more are counted.
const LINES_A_WINDOW: usize = 50;
const WINDOW: Duration = Duration::from_secs(10);
const SUMMARY_EVERY: Duration = Duration::from_secs(60);
/// Changes of what seeds are made of that get a line each; then one a minute.
const CHANGES_EACH: u32 = 5;
/// After so long without a change, each gets a line again.
const CALM: Duration = Duration::from_secs(600);
/// Failed deliveries in a row that get a line each.
const REJECTED_EACH: u32 = 3;

/// What the log makes of a fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Whether it is news. Only a log at level `debug` has what is not.
    pub is_news: bool,
    /// The failures in a row, with this one, or before this success.
    pub repeats: Option<Repeats>,
}

/// What several facts come to, for one line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summary {
    /// What seeds are made of from now on.
    Composition {
        /// The sources.
        sources: Vec<SourceId>,
        /// The kernel's random bytes are mixed in by XOR as well.
        mix_local: bool,
    },
    /// The last minute's injections, where they are too many for a line each.
    Seeds {
        /// Injections.
        seeds: u64,
        /// Their bytes.
        bytes: u64,
        /// Partitions that got at least one.
        partitions: usize,
        /// Partitions that are late or in trouble.
        troubled: usize,
    },
    /// Partitions were not seeded when they should have been.
    Late {
        /// Which.
        partitions: Group,
        /// The longest time without a seed; none: they never had one.
        unseeded: Option<Duration>,
        /// The shortest of their periods.
        period: Option<Duration>,
        /// Why, as far as it is known, and of how many.
        causes: Vec<(PartitionState, usize)>,
    },
    /// Partitions that were late, or failed, were seeded.
    SeededAgain {
        /// Which.
        partitions: Group,
        /// The longest time without a seed, of the late ones.
        gap: Option<Duration>,
        /// The attempts that failed before.
        repeats: Option<Repeats>,
    },
    /// More attempts to open or seed partitions failed than have a line each.
    MoreFailures {
        /// Their number.
        count: usize,
    },
}

/// The partitions that a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Some of them.
    pub some: Vec<Named<PartitionId>>,
    /// Their number.
    pub count: usize,
}

/// Decides what the log has.
#[derive(Debug, Default)]
pub struct Announcer {
    sources: Faults<SourceId>,
    partitions: Faults<PartitionId>,
    workers: Faults<(ModuleId, WorkerRole)>,
    /// Partitions that were opened and not seeded since.
    opened: BTreeSet<PartitionId>,
    /// The sources of the last seed, and whether the kernel's bytes were mixed in.
    composition: (Vec<SourceId>, bool),
    /// How often that changed without a calm, and when the last time.
    compositions: (u32, Moment),
    lateness: Lateness,
    /// Partitions that are neither starting nor seeded.
    troubled: BTreeSet<PartitionId>,
    window: Window,
    /// Injections since the last summary; none: each has a line.
    injections: Option<Injections>,
    /// Summaries that [`due`](Self::due) has not returned yet.
    ready: Vec<Summary>,
}

#[derive(Debug, Default)]
struct Window {
    ends: Option<Moment>,
    lines: usize,
    faults_left_out: usize,
}

#[derive(Debug, Default)]
struct Injections {
    due: Option<Moment>,
    seeds: u64,
    bytes: u64,
    partitions: BTreeSet<PartitionId>,
}

impl Announcer {
    /// Sets whether injections are summed up once a minute instead of having a line each.
    pub fn sum_up(&mut self, summaries: bool) {
        if summaries != self.injections.is_some() {
            self.injections = summaries.then(Injections::default);
        }
    }

    /// Makes the partition's next opening news, since it is another token.
    pub fn token_changed(&mut self, id: PartitionId) {
        self.opened.remove(&id);
    }

    /// Takes in what happened at `now`. What [`due`](Self::due) returns afterwards comes first in
    /// the log.
    pub fn take(&mut self, now: Moment, fact: &Fact) -> Announcement {
        self.gather(now);
        match fact {
            Fact::Source(source, fact) => self.source(now, source.id, fact),
            Fact::Partition(partition, fact) => self.partition(now, partition, fact),
            Fact::Worker(process, fact) => self.worker(now, process, fact),
            Fact::ReserveEmpty => Announcement::NEWS,
        }
    }

    /// When [`due`](Self::due) has something to announce, if no fact comes before.
    #[must_use]
    pub fn wake(&self) -> Option<Moment> {
        let injections = self.injections.as_ref().and_then(|it| it.due);
        let wakes = [self.window.ends, self.lateness.wake(), injections];
        wakes.into_iter().flatten().min()
    }

    /// What was gathered and is to be announced by now.
    pub fn due(&mut self, now: Moment) -> Vec<Summary> {
        self.gather(now);
        std::mem::take(&mut self.ready)
    }

    /// Everything that was gathered and not announced yet.
    pub fn finish(&mut self, now: Moment) -> Vec<Summary> {
        self.lateness.end(now, &mut self.ready);
        self.ready.extend(self.window.end());
        let injections = self.injections.as_mut().filter(|it| it.seeds > 0);
        let summary = injections.map(|it| it.end(self.troubled.len()));
        self.ready.extend(summary);
        std::mem::take(&mut self.ready)
    }

    /// How many things the announcer keeps track of.
    #[must_use]
    pub fn entries(&self) -> usize {
        let summed = self.injections.as_ref().map_or(0, |it| it.partitions.len());
        let failing = self.sources.len() + self.partitions.len() + self.workers.len();
        let known = self.opened.len() + self.troubled.len() + self.lateness.entries();
        failing + known + summed
    }

    fn gather(&mut self, now: Moment) {
        let is_over = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        if is_over(self.window.ends) {
            self.ready.extend(self.window.end());
        }
        if is_over(self.lateness.wake()) {
            self.lateness.end(now, &mut self.ready);
        }
        if let Some(injections) = &mut self.injections
            && is_over(injections.due)
        {
            self.ready.push(injections.end(self.troubled.len()));
        }
    }

    fn source(&mut self, now: Moment, id: SourceId, fact: &SourceFact) -> Announcement {
        match fact {
            SourceFact::Delivered { .. } => Announcement::recovery(self.sources.end(now, &id)),
            SourceFact::DeliveryRejected {
                check, in_a_row, ..
            } => {
                let mut rejected = self.sources.raise(now, id, check.name());
                rejected.is_news |= *in_a_row <= REJECTED_EACH;
                rejected
            }
            SourceFact::FetchFailed { failure, .. } => self.sources.raise(now, id, failure.code),
            SourceFact::BudgetLow { .. } | SourceFact::BudgetSpent { .. } => Announcement::NEWS,
            SourceFact::Removed => {
                self.sources.end(now, &id);
                Announcement::default()
            }
            SourceFact::Expired { .. } => Announcement::default(),
        }
    }

    fn partition(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        fact: &PartitionFact,
    ) -> Announcement {
        let id = partition.id;
        match fact {
            PartitionFact::Opened { .. } => {
                return Announcement {
                    is_news: self.opened.insert(id) && self.injections.is_none(),
                    repeats: None,
                };
            }
            PartitionFact::Failed { failure, .. } => return self.failed(now, id, failure.fault),
            PartitionFact::Seeded {
                injection,
                gap,
                was_late,
                ..
            } => {
                let repeats = self.partitions.end(now, &id);
                let gap = gap.filter(|_| *was_late);
                if *was_late || repeats.is_some() {
                    self.lateness.seeded_again(now, partition, gap, repeats);
                }
                self.opened.remove(&id);
                self.made_of(now, &injection.made_of);
                let Some(injections) = &mut self.injections else {
                    return Announcement::NEWS;
                };
                injections.add(now, id, injection.bytes);
            }
            PartitionFact::SeedLost { .. } => {}
            PartitionFact::StateChanged { state, .. } => match state {
                PartitionState::Starting | PartitionState::Seeded => {
                    self.troubled.remove(&id);
                }
                _ => {
                    self.troubled.insert(id);
                }
            },
            PartitionFact::Late {
                unseeded,
                period,
                cause,
            } => self
                .lateness
                .late(now, partition, *unseeded, *period, *cause),
            PartitionFact::Mended => self.partitions.announce_next(&id),
            PartitionFact::Moved { from, to } => {
                return Announcement {
                    is_news: [from, to].contains(&&WorkerRole::Quarantine),
                    repeats: None,
                };
            }
            PartitionFact::Removed => {
                self.partitions.end(now, &id);
                self.opened.remove(&id);
                self.troubled.remove(&id);
                self.lateness.forget(id);
            }
        }
        Announcement::default()
    }

    fn worker(&mut self, now: Moment, process: &Process, fact: &WorkerFact) -> Announcement {
        let key = (process.module.id, process.role);
        match fact {
            WorkerFact::Failed { failure, .. } => self.workers.raise(now, key, failure.name()),
            WorkerFact::Stuck => Announcement::NEWS,
            WorkerFact::Recovered => Announcement::recovery(self.workers.end(now, &key)),
            WorkerFact::Started | WorkerFact::Ended => Announcement::default(),
        }
    }

    fn failed(&mut self, now: Moment, id: PartitionId, fault: TokenFault) -> Announcement {
        // It lasts until somebody changes something.
        let once = fault == TokenFault::SeedingRefused && self.partitions.knows(&id, fault.name());
        let mut failed = self.partitions.raise(now, id, fault.name());
        failed.is_news &= !once;
        if failed.is_news && !self.window.has_room(now) {
            self.window.faults_left_out += 1;
            failed.is_news = false;
        }
        failed
    }

    fn made_of(&mut self, now: Moment, made_of: &MadeOf) {
        let portions = made_of.portions.iter();
        let mut sources: Vec<_> = portions.map(|portion| portion.source).collect();
        sources.dedup();
        let composition = (sources, made_of.mix_local);
        let (changes, last) = &mut self.compositions;
        let since = now.since(*last);
        if since > CALM {
            *changes = 0;
        }
        // Sources that take turns at each request are no news each time.
        let may_change = *changes < CHANGES_EACH || since >= SUMMARY_EVERY;
        if composition != self.composition && may_change {
            (*changes, *last) = (changes.saturating_add(1), now);
            self.composition.clone_from(&composition);
            let (sources, mix_local) = composition;
            self.ready.push(Summary::Composition { sources, mix_local });
        }
    }
}

impl Announcement {
    const NEWS: Self = Self {
        is_news: true,
        repeats: None,
    };

    /// A success, which is news where failures went before.
    fn recovery(repeats: Option<Repeats>) -> Self {
        Self {
            is_news: repeats.is_some(),
            repeats,
        }
    }
}

impl Window {
    /// Whether one more partition may have a line of its own.
    fn has_room(&mut self, now: Moment) -> bool {
        self.ends.get_or_insert(now + WINDOW);
        let room = self.lines < LINES_A_WINDOW;
        self.lines += usize::from(room);
        room
    }

    fn end(&mut self) -> Option<Summary> {
        let count = std::mem::take(self).faults_left_out;
        (count > 0).then_some(Summary::MoreFailures { count })
    }
}

impl Injections {
    fn add(&mut self, now: Moment, id: PartitionId, bytes: usize) {
        self.due.get_or_insert(now + SUMMARY_EVERY);
        self.seeds += 1;
        self.bytes += bytes as u64;
        self.partitions.insert(id);
    }

    fn end(&mut self, troubled: usize) -> Summary {
        let ended = std::mem::take(self);
        Summary::Seeds {
            seeds: ended.seeds,
            bytes: ended.bytes,
            partitions: ended.partitions.len(),
            troubled,
        }
    }
}
