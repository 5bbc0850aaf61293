//! Presentations that are under way, and those that wait for them.
//!
//! A crash hides the outcome of everything that its worker presents at that moment. So a worker
//! presents one PIN at a time of those that the token did not accept last: one partition that
//! crashes its module, or a daemon that is killed while it starts, costs no other partition one of
//! its two tries. The same holds for a device, which may count wrong PINs of several tokens
//! together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use qseed_model::pins::{DeviceTag, HeldBack, PinAnswer, PinTag, PinTags};

use crate::action::Action;
use crate::context::Context;
use crate::event::{TokenFailure, TokenFault};
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

/// What is known of a partition's PIN when its call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinKnown {
    Clear,
    /// The token's answer did not say whether it judged the PIN.
    Unclear,
}

#[derive(Debug)]
struct Presentation {
    /// The partition that the record names.
    partition: PartitionId,
    /// Who presents it; none: its worker gave up before the file answered.
    wish: Option<Wish>,
    /// Whether the worker may present it: from then on the token may have judged it.
    told: bool,
    /// Wishes to present the same PIN.
    waiting: VecDeque<Wish>,
}

impl Presentation {
    /// Drops wishes. If the one that waits for the file is among them, the next one takes its place.
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
    queue: Vec<Wish>,
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

    /// A worker wants to present a PIN. The guard's file is asked about it, now or when it need not
    /// wait for another presentation any more.
    pub(crate) fn asked(&mut self, context: &mut Context, wish: Wish) {
        let tag = wish.tags.tag;
        if let Some(presentation) = self.under_way.get_mut(&tag) {
            presentation.waiting.push_back(wish);
            return;
        }
        if !self.good.contains(&tag) && self.must_wait(&wish) {
            self.queue.push(wish);
            return;
        }
        let presentation = Presentation {
            partition: wish.partition,
            wish: Some(wish),
            told: false,
            waiting: VecDeque::new(),
        };
        self.under_way.insert(tag, presentation);
        context.act(Action::PresentPin {
            partition: wish.partition,
            tags: wish.tags,
        });
    }

    fn must_wait(&self, by: &Wish) -> bool {
        self.under_way.iter().any(|(tag, presentation)| {
            presentation.wish.is_some_and(|wish| {
                let same_worker = wish.worker == by.worker && !self.good.contains(tag);
                same_worker || wish.tags.device == by.tags.device
            })
        })
    }

    /// Drops the wishes whose worker does not hear a verdict any more, and asks about those that no
    /// longer have to wait.
    pub(crate) fn ask_for_next(
        &mut self,
        context: &mut Context,
        hears: impl Fn(WorkerId, PartitionId) -> bool,
    ) {
        self.forget(|wish| !hears(wish.worker, wish.partition));
        for wish in std::mem::take(&mut self.queue) {
            self.asked(context, wish);
        }
    }

    /// The guard's file has judged a presentation, and recorded it if it allows it. Returns the wish
    /// whose worker gets the verdict.
    pub(crate) fn judged(
        &mut self,
        context: &mut Context,
        tag: PinTag,
        held_back: Option<HeldBack>,
    ) -> Option<Wish> {
        let presentation = self.under_way.get_mut(&tag).filter(|it| !it.told)?;
        let (partition, wish) = (presentation.partition, presentation.wish);
        let Some(wish) = wish else {
            // The worker gave up while the file was written, so the record is taken back.
            if held_back.is_none() {
                record(context, tag, partition, PinAnswer::NotJudged, None);
            }
            self.end(context, tag);
            return None;
        };
        context.act(Action::Verdict {
            worker: wish.worker,
            partition: wish.partition,
            ask: wish.ask,
            held_back,
        });
        if let Some(reason) = held_back {
            // It was good as far as this process knew.
            if reason != HeldBack::NotRecorded {
                self.good.remove(&tag);
            }
            self.hold(wish.partition, &wish.tags, false);
            self.end(context, tag);
        } else {
            presentation.told = true;
        }
        Some(wish)
    }

    /// The token answered. Returns the device, if the PIN was accepted there.
    pub(crate) fn answered(
        &mut self,
        context: &mut Context,
        worker: WorkerId,
        partition: PartitionId,
        answer: PinAnswer,
        text: Option<String>,
    ) -> Option<DeviceTag> {
        if answer == PinAnswer::NotJudged {
            // The worker may have given up before the verdict.
            self.forget(|wish| wish.worker == worker && wish.partition == partition);
        }
        let Wish { tags, .. } = self.told(worker, partition)?;
        self.drop_partition(partition);
        match answer {
            PinAnswer::Accepted => {
                self.good.insert(tags.tag);
                self.logged_in.insert(partition, tags);
            }
            PinAnswer::NotJudged => {}
            PinAnswer::Refused | PinAnswer::Unclear => {
                self.good.remove(&tags.tag);
                self.hold(partition, &tags, answer == PinAnswer::Unclear);
            }
        }
        record(context, tags.tag, partition, answer, text);
        self.end(context, tags.tag);
        (answer == PinAnswer::Accepted).then_some(tags.device)
    }

    /// The call of a partition ended. If its worker was allowed to present a PIN and did not say how
    /// that went, nobody knows. Returns what is known of the partition's PIN.
    pub(crate) fn call_ended(
        &mut self,
        context: &mut Context,
        worker: WorkerId,
        partition: PartitionId,
        result: &Result<(), TokenFailure>,
    ) -> PinKnown {
        self.forget(|wish| wish.worker == worker && wish.partition == partition);
        self.answered(context, worker, partition, PinAnswer::Unclear, None);
        match result {
            Ok(()) => self.release(partition),
            // In another call than the login, as tokens do with a PIN that has expired.
            Err(failure) if failure.fault == TokenFault::PinRefused => {
                self.revoked(context, partition);
            }
            Err(_) => {}
        }
        match self.held.get(&partition) {
            Some(Held { unclear: true, .. }) => PinKnown::Unclear,
            _ => PinKnown::Clear,
        }
    }

    /// Whether a partition's PIN is held back, or was not accepted when it was presented last.
    pub(crate) fn is_held(&self, partition: PartitionId) -> bool {
        self.held.contains_key(&partition)
    }

    /// The wish that was granted to a worker for a partition and has no answer yet.
    fn told(&self, worker: WorkerId, partition: PartitionId) -> Option<Wish> {
        let told = self.under_way.values().filter(|it| it.told);
        told.filter_map(|it| it.wish)
            .find(|wish| wish.worker == worker && wish.partition == partition)
    }

    fn revoked(&mut self, context: &mut Context, partition: PartitionId) {
        if let Some(tags) = self.logged_in.remove(&partition) {
            self.hold(partition, &tags, false);
            if self.good.remove(&tags.tag) {
                record(context, tags.tag, partition, PinAnswer::Refused, None);
            }
        }
    }

    /// Ends a presentation; the wishes that waited for it are judged.
    fn end(&mut self, context: &mut Context, tag: PinTag) {
        let ended = self.under_way.remove(&tag);
        for wish in ended.into_iter().flat_map(|it| it.waiting) {
            self.asked(context, wish);
        }
    }

    /// The worker is gone: nobody knows what became of what it presented.
    pub(crate) fn worker_ended(&mut self, context: &mut Context, worker: WorkerId) {
        self.forget(|wish| wish.worker == worker);
        let lost: Vec<_> = self
            .under_way
            .iter()
            .filter(|(_, it)| it.wish.is_some_and(|wish| wish.worker == worker))
            .map(|(tag, it)| (*tag, it.partition))
            .collect();
        for (tag, partition) in lost {
            self.good.remove(&tag);
            record(context, tag, partition, PinAnswer::Unclear, None);
            self.end(context, tag);
        }
    }

    fn forget(&mut self, gone: impl Fn(&Wish) -> bool + Copy) {
        self.queue.retain(|wish| !gone(wish));
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
    fn release(&mut self, partition: PartitionId) {
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

    /// The partition is gone.
    pub(crate) fn drop_partition(&mut self, partition: PartitionId) {
        self.release(partition);
        self.logged_in.remove(&partition);
    }

    /// Releases the partitions whose PIN is held back at a device; none: all of them.
    pub(crate) fn release_at(&mut self, device: Option<DeviceTag>) -> Vec<PartitionId> {
        let held: Vec<_> = if let Some(device) = device {
            let held = self.held_at.get(&device);
            held.into_iter().flatten().copied().collect()
        } else {
            self.held.keys().copied().collect()
        };
        for id in &held {
            self.release(*id);
        }
        held
    }

    /// Presentations that are under way or wait, and PINs that are held back.
    pub(crate) fn entries(&self) -> usize {
        self.under_way.len() + self.queue.len() + self.held.len()
    }
}

fn record(
    context: &mut Context,
    tag: PinTag,
    partition: PartitionId,
    answer: PinAnswer,
    text: Option<String>,
) {
    context.act(Action::RecordPin {
        tag,
        partition,
        answer,
        text,
    });
}
