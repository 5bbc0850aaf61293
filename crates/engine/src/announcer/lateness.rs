//! Which partitions are late and which are seeded again, gathered: a source that is out makes
//! thousands late at the same moment, and each has a line only where they are few.

use std::collections::BTreeMap;
use std::time::Duration;

use super::repeats::Repeats;
use super::{Group, Summary};
use crate::ids::{Named, PartitionId};
use crate::time::Moment;
use crate::view::PartitionState;

/// How long lines are gathered. Each lasts longer where they do not end.
const GATHER: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3600),
];
/// So many times lines are gathered for as short as possible.
const SHORT: usize = 10;
/// The longest time, as an index of [`GATHER`], for a partition that was in few lines.
const FEW: usize = 1;
/// After so long without a line, the next ones are gathered for as short as possible.
const CALM: Duration = Duration::from_secs(2 * 3600);
/// Partitions that a line names.
const NAMED: usize = 10;

/// A late partition.
#[derive(Debug)]
struct Late {
    partition: Named<PartitionId>,
    since: Moment,
    unseeded: Option<Duration>,
    period: Duration,
    cause: PartitionState,
}

/// A partition that was late, or failed, and was seeded.
#[derive(Debug)]
struct Again {
    partition: Named<PartitionId>,
    gap: Option<Duration>,
    repeats: Option<Repeats>,
}

/// How often something was, without a calm, and when the last time.
#[derive(Debug, Default)]
struct Recent {
    times: usize,
    last: Moment,
}

impl Recent {
    /// How long it is to be gathered for, as an index of [`GATHER`].
    fn longer(&mut self, now: Moment) -> usize {
        if now.since(self.last) > CALM {
            self.times = 0;
        }
        self.times.saturating_sub(SHORT - 1).min(GATHER.len() - 1)
    }

    fn count(&mut self, now: Moment) {
        self.times = self.times.saturating_add(1);
        self.last = now;
    }
}

#[derive(Debug, Default)]
pub(super) struct Lateness {
    late: BTreeMap<PartitionId, Late>,
    again: BTreeMap<PartitionId, Again>,
    due: Option<Moment>,
    /// Gatherings without a calm between them, and when the last one ended.
    gathered: Recent,
    /// The same of each partition: a few that come and go must not delay the line about an outage
    /// of all.
    of_each: BTreeMap<PartitionId, Recent>,
}

impl Lateness {
    pub(super) fn late(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        unseeded: Option<Duration>,
        period: Duration,
        cause: PartitionState,
    ) {
        // A token that takes no seeds is announced as that.
        if cause == PartitionState::SeedingRefused {
            return;
        }
        let late = Late {
            partition: partition.clone(),
            since: now,
            unseeded,
            period,
            cause,
        };
        self.late.insert(partition.id, late);
        self.gather(now, partition.id);
    }

    /// A partition was seeded that was late, or that failed before.
    pub(super) fn seeded_again(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        gap: Option<Duration>,
        repeats: Option<Repeats>,
    ) {
        self.late.remove(&partition.id);
        let again = self.again.entry(partition.id).or_insert_with(|| Again {
            partition: partition.clone(),
            gap: None,
            repeats: None,
        });
        again.gap = again.gap.max(gap);
        again.repeats = Repeats::in_all(again.repeats.into_iter().chain(repeats));
        self.gather(now, partition.id);
    }

    pub(super) fn forget(&mut self, id: PartitionId) {
        self.late.remove(&id);
        self.again.remove(&id);
        self.of_each.remove(&id);
    }

    pub(super) fn wake(&self) -> Option<Moment> {
        self.due
    }

    pub(super) fn entries(&self) -> usize {
        self.late.len() + self.again.len() + self.of_each.len()
    }

    fn gather(&mut self, now: Moment, id: PartitionId) {
        let of_one = self.of_each.entry(id).or_default();
        let longer = of_one.longer(now).max(FEW);
        of_one.count(now);
        let due = now + GATHER[longer.min(self.gathered.longer(now))];
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// Ends the gathering.
    pub(super) fn end(&mut self, now: Moment, summaries: &mut Vec<Summary>) {
        self.due = None;
        self.gathered.count(now);
        let again = std::mem::take(&mut self.again);
        if !again.is_empty() {
            summaries.push(Summary::SeededAgain {
                gap: again.values().filter_map(|again| again.gap).max(),
                repeats: Repeats::in_all(again.values().filter_map(|again| again.repeats)),
                partitions: Group::of(again.into_values().map(|again| again.partition)),
            });
        }
        let late = std::mem::take(&mut self.late);
        if !late.is_empty() {
            let mut causes = BTreeMap::<_, usize>::new();
            for one in late.values() {
                *causes.entry(one.cause).or_default() += 1;
            }
            let unseeded = |one: &Late| Some(one.unseeded? + now.since(one.since));
            summaries.push(Summary::Late {
                unseeded: late.values().filter_map(unseeded).max(),
                period: late.values().map(|one| one.period).min(),
                causes: causes.into_iter().collect(),
                partitions: Group::of(late.into_values().map(|one| one.partition)),
            });
        }
    }
}

impl Group {
    fn of(partitions: impl ExactSizeIterator<Item = Named<PartitionId>>) -> Self {
        Self {
            count: partitions.len(),
            some: partitions.take(NAMED).collect(),
        }
    }
}
