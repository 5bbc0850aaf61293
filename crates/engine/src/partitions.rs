//! The partitions by number. Tests count what walks over all of them: no event may cost more where
//! there are more partitions.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use crate::ids::PartitionId;
use crate::partition::Partition;

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
