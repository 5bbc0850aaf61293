//! One wake-up time for each thing that waits, whatever their number.

use std::collections::{BTreeSet, HashMap};

use crate::ids::{PartitionId, SourceId, WorkerKey};
use crate::time::Moment;

/// What wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// A partition is due, or may be tried again.
    Partition(PartitionId),
    /// A partition may be late.
    Late(PartitionId),
    /// A source may be asked again, or its rate limit allows another request.
    Source(SourceId),
    /// A source's oldest bytes become too old.
    Expiry(SourceId),
    /// A worker may be started, or one of its calls is past the deadline.
    Worker(WorkerKey),
    /// Partitions that opened one after the other are asked for together.
    Gather,
}

/// The wake-up times in order.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: HashMap<Timer, Moment>,
    order: BTreeSet<(Moment, Timer)>,
}

impl Timers {
    /// Sets, moves or removes a wake-up.
    pub(crate) fn set(&mut self, timer: Timer, at: Option<Moment>) {
        let before = match at {
            Some(at) => self.at.insert(timer, at),
            None => self.at.remove(&timer),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.order.insert((at, timer));
        }
    }

    /// When a thing wakes.
    pub(crate) fn get(&self, timer: Timer) -> Option<Moment> {
        self.at.get(&timer).copied()
    }

    /// Takes the first wake-up that has come.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.at.remove(&timer);
        Some(timer)
    }

    /// The next wake-up.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many things wait.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// What wakes up to `until`, the earliest first.
    pub(crate) fn until(&self, until: Moment) -> impl Iterator<Item = (Moment, Timer)> {
        self.order
            .iter()
            .copied()
            .take_while(move |(at, _)| *at <= until)
    }
}
