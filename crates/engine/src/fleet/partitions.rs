//! The partitions by number. Tests count what walks over all of them: no event may cost more where
//! there are more partitions.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::partition::{Partition, Phase};
use crate::ids::PartitionId;

use crate::time::Moment;
use crate::timers::{Timer, Timers};

/// Partitions that fall due this soon share the request with those that are due.
const SOON: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(crate) struct Partitions {
    by_id: BTreeMap<PartitionId, Partition>,
    #[cfg(test)]
    steps: std::cell::Cell<usize>,
}

impl Partitions {
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PartitionId> {
        self.iter().map(|(id, _)| id)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Partition> {
        self.iter().map(|(_, partition)| partition)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PartitionId, &Partition)> {
        self.by_id.iter().inspect(|_| {
            #[cfg(test)]
            self.steps.set(self.steps.get() + 1);
        })
    }

    /// The bytes of open partitions that fall due so soon that they share a request with those that
    /// are due.
    pub(crate) fn bytes_due_soon(&self, timers: &Timers, now: Moment) -> usize {
        self.idle(timers, now + SOON)
            .filter(|(at, partition)| at.since(now) <= partition.settings.period / 10)
            .map(|(_, partition)| partition.settings.size)
            .sum()
    }

    /// The bytes of open partitions that fall due up to `until`.
    pub(crate) fn bytes_due(&self, timers: &Timers, until: Moment) -> usize {
        let idle = self.idle(timers, until);
        idle.map(|(_, partition)| partition.settings.size).sum()
    }

    /// The open partitions that fall due up to `until`.
    fn idle(&self, timers: &Timers, until: Moment) -> impl Iterator<Item = (Moment, &Partition)> {
        let due = timers.until(until);
        let partitions = due.filter_map(|(at, timer)| match timer {
            Timer::Partition(id) => Some((at, self.by_id.get(&id)?)),
            _ => None,
        });
        partitions.filter(|(_, partition)| matches!(partition.phase, Phase::Idle))
    }

    /// Partitions that walks have come by.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> usize {
        self.steps.get()
    }
}

impl Deref for Partitions {
    type Target = BTreeMap<PartitionId, Partition>;

    fn deref(&self) -> &Self::Target {
        &self.by_id
    }
}

impl DerefMut for Partitions {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.by_id
    }
}
