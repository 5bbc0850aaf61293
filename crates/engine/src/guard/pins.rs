//! Presentations that are under way, and those that wait for them.
//!
//! A crash hides the outcome of everything that its worker presents at that moment. So a worker
//! presents one PIN at a time of those that the token did not accept last: one partition that
//! crashes its module, or a daemon that is killed while it starts, costs no other partition one of
//! its two tries. The same holds for a device, which may count wrong PINs of several tokens
//! together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use qseed_model::pins::{DeviceTag, HeldBack, PinAnswer, PinTag, PinTags};

use crate::ids::{PartitionId, WorkerId};

/// One worker's wish to present a PIN for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) worker: WorkerId,
    pub(crate) partition: PartitionId,
    /// The worker's number for it.
    pub(crate) ask: u64,
    pub(crate) tags: PinTags,
}

/// What follows from the guard file's judgement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Tell the worker to present it.
    Present(Wish),
    /// Tell the worker to hold it back.
    Hold(Wish),
    /// The worker gave up while the file was written, and the record must be taken back for this
    /// partition.
    TakeBack(PartitionId),
    /// Nobody waits for it.
    Nothing,
}

#[derive(Debug)]
struct Presentation {
    /// The partition that the record names.
    partition: PartitionId,
    /// Who presents it; none: its worker gave up before the file answered.
    wish: Option<Wish>,
    /// Whether the worker was told to present it: from then on the token may have judged it.
    told: bool,
    /// Wishes to present the same PIN.
    waiting: VecDeque<Wish>,
}

impl Presentation {
    /// Drops wishes. Where the one that waits for the file is among them, the next one takes its
    /// turn.
    fn forget(&mut self, gone: impl Fn(&Wish) -> bool) {
        self.waiting.retain(|wish| !gone(wish));
        if !self.told && self.wish.as_ref().is_some_and(gone) {
            self.wish = self.waiting.pop_front();
        }
    }
}

/// What the engine knows of PINs. It permits nothing: the guard's file does.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// PINs that their tokens accepted last, as far as this process knows.
    good: BTreeSet<PinTag>,
    under_way: BTreeMap<PinTag, Presentation>,
    /// Wishes that wait until their worker and their device have nothing to do with another PIN
    /// that was not accepted last.
    line: Vec<Wish>,
    /// Partitions whose PIN is held back, or was not accepted.
    held: BTreeMap<PartitionId, Held>,
    held_at: BTreeMap<DeviceTag, BTreeSet<PartitionId>>,
    /// The PIN by which a partition logged in last.
    logged_in: BTreeMap<PartitionId, PinTags>,
}

#[derive(Debug)]
struct Held {
    device: DeviceTag,
    /// The token's answer did not say whether it judged the PIN.
    unclear: bool,
}

impl Pins {
    pub(crate) fn new(good: impl IntoIterator<Item = PinTag>) -> Self {
        Self {
            good: good.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A worker wants to present a PIN. Whether to ask the guard's file about it now; otherwise it
    /// waits for another presentation.
    pub(crate) fn wish(&mut self, wish: Wish) -> bool {
        let tag = wish.tags.tag;
        if let Some(presentation) = self.under_way.get_mut(&tag) {
            presentation.waiting.push_back(wish);
            return false;
        }
        if !self.good.contains(&tag) && self.must_wait(&wish) {
            self.line.push(wish);
            return false;
        }
        let presentation = Presentation {
            partition: wish.partition,
            wish: Some(wish),
            told: false,
            waiting: VecDeque::new(),
        };
        self.under_way.insert(tag, presentation);
        true
    }

    fn must_wait(&self, by: &Wish) -> bool {
        self.under_way.iter().any(|(tag, presentation)| {
            presentation.wish.is_some_and(|wish| {
                let same_worker = wish.worker == by.worker && !self.good.contains(tag);
                same_worker || wish.tags.device == by.tags.device
            })
        })
    }

    /// The wishes that no longer have to wait in line.
    pub(crate) fn next_in_line(&mut self) -> Vec<Wish> {
        let line = std::mem::take(&mut self.line);
        let (wait, go) = line.into_iter().partition(|wish| self.must_wait(wish));
        self.line = wait;
        go
    }

    /// The guard's file has judged a presentation, and recorded it where it allows it.
    pub(crate) fn judged(&mut self, tag: PinTag, held: Option<HeldBack>) -> (Judged, Vec<Wish>) {
        let Some(presentation) = self.under_way.get_mut(&tag).filter(|it| !it.told) else {
            return (Judged::Nothing, Vec::new());
        };
        match (presentation.wish, held) {
            (Some(wish), None) => {
                presentation.told = true;
                (Judged::Present(wish), Vec::new())
            }
            (Some(wish), Some(reason)) => {
                // It was good as far as this process knew.
                if reason != HeldBack::NotRecorded {
                    self.good.remove(&tag);
                }
                self.hold(wish.partition, &wish.tags, false);
                (Judged::Hold(wish), self.end(tag))
            }
            (None, None) => {
                let partition = presentation.partition;
                (Judged::TakeBack(partition), self.end(tag))
            }
            (None, Some(_)) => (Judged::Nothing, self.end(tag)),
        }
    }

    /// The token answered. The wishes that waited for it are to be judged.
    pub(crate) fn answered(
        &mut self,
        worker: WorkerId,
        partition: PartitionId,
        answer: PinAnswer,
    ) -> Option<(Wish, Vec<Wish>)> {
        let wish = self.told(worker, partition)?;
        let tag = wish.tags.tag;
        self.drop_partition(partition);
        match answer {
            PinAnswer::Accepted => {
                self.good.insert(tag);
                self.logged_in.insert(partition, wish.tags);
            }
            PinAnswer::NotJudged => {}
            PinAnswer::Refused | PinAnswer::Unclear => {
                self.good.remove(&tag);
                self.hold(partition, &wish.tags, answer == PinAnswer::Unclear);
            }
        }
        Some((wish, self.end(tag)))
    }

    /// The wish that a worker was told to carry out for a partition and has not answered for yet.
    fn told(&self, worker: WorkerId, partition: PartitionId) -> Option<Wish> {
        let told = self.under_way.values().filter(|it| it.told);
        told.filter_map(|it| it.wish)
            .find(|wish| wish.worker == worker && wish.partition == partition)
    }

    /// The token refused a login that had succeeded, as it does with an expired PIN. The PIN, if
    /// the partition logged in with one.
    pub(crate) fn revoked(&mut self, partition: PartitionId) -> Option<PinTag> {
        let tags = self.logged_in.remove(&partition)?;
        self.hold(partition, &tags, false);
        self.good.remove(&tags.tag).then_some(tags.tag)
    }

    fn end(&mut self, tag: PinTag) -> Vec<Wish> {
        let ended = self.under_way.remove(&tag);
        ended.map_or_else(Vec::new, |it| it.waiting.into())
    }

    /// The worker is gone. The PINs that it was told to present, with their partitions, and the
    /// wishes of other workers that waited for them.
    pub(crate) fn worker_died(
        &mut self,
        worker: WorkerId,
    ) -> (Vec<(PinTag, PartitionId)>, Vec<Wish>) {
        self.no_more_verdicts(worker);
        let lost: Vec<_> = self
            .under_way
            .iter()
            .filter(|(_, it)| it.wish.is_some_and(|wish| wish.worker == worker))
            .map(|(tag, it)| (*tag, it.partition))
            .collect();
        let mut waited = Vec::new();
        for (tag, _) in &lost {
            self.good.remove(tag);
            waited.extend(self.end(*tag));
        }
        (lost, waited)
    }

    /// The worker was killed: it will not hear what it has not been told yet. What it was told, it
    /// may have answered before.
    pub(crate) fn no_more_verdicts(&mut self, worker: WorkerId) {
        self.forget(|wish| wish.worker == worker);
    }

    /// The operation of a partition ended: its wishes are gone, unless it was told to present.
    pub(crate) fn gave_up(&mut self, worker: WorkerId, partition: PartitionId) {
        self.forget(|wish| wish.worker == worker && wish.partition == partition);
    }

    fn forget(&mut self, gone: impl Fn(&Wish) -> bool + Copy) {
        self.line.retain(|wish| !gone(wish));
        for presentation in self.under_way.values_mut() {
            presentation.forget(gone);
        }
    }

    fn hold(&mut self, partition: PartitionId, tags: &PinTags, unclear: bool) {
        self.release(partition);
        let device = tags.device;
        self.held.insert(partition, Held { device, unclear });
        self.held_at.entry(device).or_default().insert(partition);
    }

    /// Nothing is held back for the partition any more.
    pub(crate) fn release(&mut self, partition: PartitionId) {
        let Some(held) = self.held.remove(&partition) else {
            return;
        };
        if let Some(others) = self.held_at.get_mut(&held.device) {
            others.remove(&partition);
            if others.is_empty() {
                self.held_at.remove(&held.device);
            }
        }
    }

    /// Whether the partition's last login ended with an answer that does not say whether the token
    /// judged the PIN.
    pub(crate) fn is_unclear(&self, partition: PartitionId) -> bool {
        self.held.get(&partition).is_some_and(|held| held.unclear)
    }

    /// The partition is gone.
    pub(crate) fn drop_partition(&mut self, partition: PartitionId) {
        self.release(partition);
        self.logged_in.remove(&partition);
    }

    /// Releases the partitions whose PIN is held back at a device; none: all of them.
    pub(crate) fn release_at(&mut self, device: Option<DeviceTag>) -> Vec<PartitionId> {
        let held: Vec<_> = match device {
            Some(device) => self
                .held_at
                .get(&device)
                .into_iter()
                .flatten()
                .copied()
                .collect(),
            None => self.held.keys().copied().collect(),
        };
        for id in &held {
            self.release(*id);
        }
        held
    }

    /// Presentations that are under way or wait, and PINs that are held back.
    pub(crate) fn entries(&self) -> usize {
        self.under_way.len() + self.line.len() + self.held.len()
    }
}
