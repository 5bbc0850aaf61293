//! Decides which facts are worth a line of the log.
//!
//! A fault that goes on is announced when it starts, at growing intervals and when it ends, and
//! thousands of partitions that fail together get a few lines. The engine decides nothing by what
//! is announced.

mod lateness;
mod line;
mod repeats;

use std::collections::BTreeSet;
use std::time::Duration;

pub use line::Line;
pub use repeats::Repeats;

use crate::action::Next;
use crate::event::{TokenFailure, TokenFault};
use crate::fact::{Fact, Process};
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
/// Failed deliveries in a row that get a line each.
const REJECTED_EACH: u32 = 3;

/// Turns facts into lines of the log.
#[derive(Debug, Default)]
pub struct Announcer {
    sources: Faults<SourceId>,
    partitions: Faults<PartitionId>,
    workers: Faults<(ModuleId, WorkerRole)>,
    /// Partitions that were opened and not seeded since.
    opened: BTreeSet<PartitionId>,
    /// The sources that the last seed was made of.
    /// The sources that seeds are made of, and whether the kernel's bytes are mixed in.
    composition: (Vec<SourceId>, bool),
    lateness: Lateness,
    /// Partitions that are neither starting nor seeded.
    troubled: BTreeSet<PartitionId>,
    window: Window,
    /// Injections since the last summary; none: each has a line.
    summary: Option<Summary>,
}

#[derive(Debug, Default)]
struct Window {
    ends: Option<Moment>,
    lines: usize,
    faults_left_out: usize,
}

#[derive(Debug, Default)]
struct Summary {
    due: Option<Moment>,
    seeds: u64,
    bytes: u64,
    partitions: BTreeSet<PartitionId>,
}

impl Announcer {
    /// Sets whether injections are summed up once a minute instead of having a line each.
    pub fn sum_up(&mut self, summaries: bool) {
        if summaries != self.summary.is_some() {
            self.summary = summaries.then(Summary::default);
        }
    }

    /// Takes in what happened at `now`; returns what is to be announced.
    pub fn take(&mut self, now: Moment, fact: &Fact) -> Vec<Line> {
        let mut lines = self.due(now);
        match fact {
            Fact::Delivered { source, .. } => {
                let source = source.clone();
                let ended = self.sources.end(now, &source.id);
                lines.extend(ended.map(|repeats| Line::SourceRecovered { source, repeats }));
            }
            Fact::DeliveryRejected { .. }
            | Fact::FetchFailed { .. }
            | Fact::BudgetLow { .. }
            | Fact::BudgetSpent { .. } => lines.extend(self.source_trouble(now, fact)),
            Fact::ReserveEmpty => lines.push(Line::ReserveEmpty),
            Fact::SourceRemoved(id) => self.sources.retain(|other| other != id),
            Fact::Opened { partition, .. } => lines.push(Line::Opened {
                partition: partition.id,
                again: !self.opened.insert(partition.id),
            }),
            Fact::OpenFailed {
                partition,
                failure,
                next,
                ..
            }
            | Fact::Refused {
                partition,
                failure,
                next,
                ..
            } => lines.extend(self.partition_failed(now, partition, failure, *next)),
            Fact::Seeded {
                partition,
                bytes,
                made_of,
                gap,
                ..
            } => {
                let repeats = self.partitions.end(now, &partition.id);
                self.lateness.seeded(now, partition, *gap, repeats);
                self.seeded(now, partition, *bytes, made_of, &mut lines);
            }
            Fact::StateChanged {
                partition, state, ..
            } => {
                if matches!(state, PartitionState::Starting | PartitionState::Seeded) {
                    self.troubled.remove(&partition.id);
                } else {
                    self.troubled.insert(partition.id);
                }
            }
            Fact::Late {
                partition,
                unseeded,
                period,
                cause,
            } => self
                .lateness
                .late(now, partition, *unseeded, *period, *cause),
            Fact::Mended(partition) => self.partitions.announce_next(&partition.id),
            Fact::Moved {
                partition,
                from,
                to,
            } => lines.extend(moved(partition, *from, *to)),
            Fact::PartitionRemoved(id) => self.forget(*id),
            Fact::WorkerEnded { process, failure } => {
                let line = failure.as_ref().and_then(|failure| {
                    let kind = if failure.loaded { "died" } else { "load" };
                    self.worker_failed(now, process, kind, &failure.text, failure.next)
                });
                lines.extend(line);
            }
            Fact::ModuleHung {
                process,
                partition,
                deadline,
                next,
            } => {
                let repeats = self.workers.raise(now, key(process), "hung");
                lines.extend(repeats.map(|_| Line::ModuleHung {
                    module: process.module.clone(),
                    partition: partition.as_ref().map(|partition| partition.name.clone()),
                    deadline: *deadline,
                    next: *next,
                }));
            }
            Fact::WorkerMisbehaves {
                process,
                text,
                next,
            } => lines.extend(self.worker_failed(now, process, "misbehaves", text, *next)),
            Fact::WorkerStuck(process) => lines.push(Line::WorkerStuck(process.module.clone())),
            Fact::WorkerRecovered(process) => {
                let module = process.module.clone();
                let ended = self.workers.end(now, &key(process));
                lines.extend(ended.map(|repeats| Line::WorkerRecovered { module, repeats }));
            }
            Fact::Expired { .. } | Fact::WorkerStarted(_) => {}
        }
        lines
    }

    /// When [`due`](Self::due) has something to announce, if no fact comes before.
    #[must_use]
    pub fn wake(&self) -> Option<Moment> {
        let summary = self.summary.as_ref().and_then(|summary| summary.due);
        let wakes = [self.window.ends, self.lateness.wake(), summary];
        wakes.into_iter().flatten().min()
    }

    /// What was counted and is to be announced by now.
    pub fn due(&mut self, now: Moment) -> Vec<Line> {
        let mut lines = Vec::new();
        if self.window.ends.is_some_and(|at| at <= now) {
            lines.extend(self.window.end());
        }
        if self.lateness.wake().is_some_and(|at| at <= now) {
            lines.extend(self.lateness.end(now));
        }
        if let Some(summary) = &mut self.summary
            && summary.due.is_some_and(|at| at <= now)
        {
            lines.push(summary.end(self.troubled.len()));
        }
        lines
    }

    /// Everything that was counted and not announced yet.
    pub fn finish(&mut self, now: Moment) -> Vec<Line> {
        let mut lines = self.lateness.end(now);
        lines.extend(self.window.end());
        let summary = self.summary.as_mut().filter(|s| s.seeds > 0);
        lines.extend(summary.map(|summary| summary.end(self.troubled.len())));
        lines
    }

    /// How many things the announcer keeps track of.
    #[must_use]
    pub fn entries(&self) -> usize {
        let summed = self.summary.as_ref().map_or(0, |s| s.partitions.len());
        let failing = self.sources.len() + self.partitions.len() + self.workers.len();
        let known = self.opened.len() + self.troubled.len() + self.lateness.entries();
        failing + known + summed
    }

    fn source_trouble(&mut self, now: Moment, fact: &Fact) -> Option<Line> {
        match fact {
            Fact::BudgetLow {
                source,
                spent,
                limit,
            } => Some(Line::BudgetLow {
                source: source.clone(),
                spent: *spent,
                limit: *limit,
            }),
            Fact::BudgetSpent {
                source,
                spent,
                limit,
            } => Some(Line::BudgetSpent {
                source: source.clone(),
                spent: *spent,
                limit: *limit,
            }),
            Fact::DeliveryRejected {
                source,
                check,
                bytes,
                in_a_row,
                next,
                ..
            } => {
                let repeats = self.sources.raise(now, source.id, check.name());
                (repeats.is_some() || *in_a_row <= REJECTED_EACH).then(|| Line::CheckFailed {
                    source: source.clone(),
                    check: *check,
                    bytes: *bytes,
                    in_a_row: *in_a_row,
                    next: *next,
                })
            }
            Fact::FetchFailed {
                source,
                failure,
                next,
                ..
            } => {
                let repeats = self.sources.raise(now, source.id, failure.code)?;
                Some(Line::SourceFailed {
                    source: source.clone(),
                    text: failure.text.clone(),
                    code: failure.code,
                    repeats,
                    next: *next,
                })
            }
            _ => None,
        }
    }

    fn partition_failed(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        failure: &TokenFailure,
        next: Next,
    ) -> Option<Line> {
        let kind = failure.fault.name();
        let repeats = if failure.fault == TokenFault::SeedingRefused {
            self.partitions.raise_once(now, partition.id, kind)
        } else {
            self.partitions.raise(now, partition.id, kind)
        }?;
        if !self.window.has_room(now) {
            self.window.faults_left_out += 1;
            return None;
        }
        Some(Line::PartitionFailed {
            partition: partition.clone(),
            failure: failure.clone(),
            repeats,
            next,
        })
    }

    fn worker_failed(
        &mut self,
        now: Moment,
        process: &Process,
        kind: &'static str,
        text: &str,
        next: Next,
    ) -> Option<Line> {
        let repeats = self.workers.raise(now, key(process), kind)?;
        Some(Line::WorkerFailed {
            module: process.module.clone(),
            text: text.to_owned(),
            repeats,
            next,
        })
    }

    fn seeded(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        bytes: usize,
        made_of: &MadeOf,
        lines: &mut Vec<Line>,
    ) {
        let partition = partition.clone();
        self.opened.remove(&partition.id);
        let portions = made_of.portions.iter();
        let mut sources: Vec<_> = portions.map(|portion| portion.source).collect();
        sources.dedup();
        let composition = (sources, made_of.mix_local);
        if composition != self.composition {
            self.composition.clone_from(&composition);
            let (sources, mix_local) = composition;
            lines.push(Line::Composition { sources, mix_local });
        }
        if let Some(summary) = &mut self.summary {
            summary.due.get_or_insert(now + SUMMARY_EVERY);
            summary.seeds += 1;
            summary.bytes += bytes as u64;
            summary.partitions.insert(partition.id);
        } else {
            let made_of = made_of.clone();
            lines.push(Line::Seeded {
                partition,
                bytes,
                made_of,
            });
        }
    }

    fn forget(&mut self, id: PartitionId) {
        self.partitions.retain(|other| *other != id);
        self.opened.remove(&id);
        self.troubled.remove(&id);
        self.lateness.forget(id);
    }
}

fn moved(partition: &Named<PartitionId>, from: WorkerRole, to: WorkerRole) -> Option<Line> {
    match (from, to) {
        (_, WorkerRole::Quarantine) => Some(Line::Quarantined(partition.clone())),
        (WorkerRole::Quarantine, _) => Some(Line::Rejoined(partition.clone())),
        _ => None,
    }
}

fn key(process: &Process) -> (ModuleId, WorkerRole) {
    (process.module.id, process.role)
}

impl Window {
    /// Whether one more partition may have a line of its own.
    fn has_room(&mut self, now: Moment) -> bool {
        self.ends.get_or_insert(now + WINDOW);
        let room = self.lines < LINES_A_WINDOW;
        self.lines += usize::from(room);
        room
    }

    fn end(&mut self) -> Option<Line> {
        let count = std::mem::take(self).faults_left_out;
        (count > 0).then_some(Line::MorePartitionsFailed { count })
    }
}

impl Summary {
    fn end(&mut self, troubled: usize) -> Line {
        let ended = std::mem::take(self);
        Line::Summary {
            seeds: ended.seeds,
            bytes: ended.bytes,
            partitions: ended.partitions.len(),
            troubled,
        }
    }
}
