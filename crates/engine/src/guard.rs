//! The PIN guard: a PIN that a token refused is never presented to it again.
//!
//! The engine knows a PIN by its tag alone, a keyed digest that the worker makes. Before a PIN is
//! presented, `presented` is written and synced; the outcome is written after. An outcome that a
//! crash hid therefore counts as refused, unless that PIN was accepted before: then it may be
//! presented once more.
//!
//! A crash hides the outcome of everything that its worker presents at that moment. So a worker
//! presents one at a time of those that would be held back then: one partition that crashes its
//! module, or a daemon that is killed while it starts, costs no other partition its login.
//!
//! Tokens may count wrong PINs together: those of a TPM, or the PINs of one smart card that its
//! library shows as several tokens. What has the same manufacturer, model and serial number is one
//! *device*; of PINs that never succeeded, one at a time is presented to it, and none after it
//! refused another partition's, which the guard's file knows.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{DeviceTag, PartitionId, PinTag, WorkerId};

/// What is known of one PIN at one token. This is what the guard's file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its last outcome was success.
    Accepted,
    /// The token refused it.
    Refused,
    /// It was presented, the outcome is not known, and it never succeeded before.
    Presented,
    /// It was presented, the outcome is not known, and it had succeeded before.
    PresentedAgain,
    /// It was presented after an unknown outcome, and that outcome is not known either.
    PresentedLast,
    /// The token answered with an error that says nothing about the PIN, which never succeeded.
    Unclear,
}

impl Standing {
    /// What is written down before a PIN is presented of which `before` is known.
    ///
    /// # Errors
    /// Why it must not be presented.
    pub fn when_presented(before: Option<Self>) -> Result<Self, HeldBack> {
        match before {
            None | Some(Self::Unclear) => Ok(Self::Presented),
            Some(Self::Accepted) => Ok(Self::PresentedAgain),
            Some(Self::PresentedAgain) => Ok(Self::PresentedLast),
            Some(Self::Refused) => Err(HeldBack::Refused),
            Some(Self::Presented | Self::PresentedLast) => Err(HeldBack::OutcomeUnknown),
        }
    }

    /// Whether a PIN of which this is known is held back: no more is presented of it.
    #[must_use]
    pub fn is_held_back(self) -> bool {
        Self::when_presented(Some(self)).is_err()
    }

    /// What is known of a PIN once the token has answered, where `before` was known until it was
    /// presented; `None`: nothing.
    #[must_use]
    pub fn when_answered(before: Option<Self>, answer: PinAnswer) -> Option<Self> {
        match (answer, before) {
            (PinAnswer::NotJudged, before) => before,
            (PinAnswer::Accepted, _) => Some(Self::Accepted),
            (PinAnswer::Refused, _) => Some(Self::Refused),
            // What is known of a PIN that was good once stays as it is.
            (PinAnswer::Unclear, Some(Self::Accepted | Self::PresentedAgain)) => before,
            // One that never succeeded gets a second presentation, and no third.
            (PinAnswer::Unclear, Some(Self::Unclear)) => Some(Self::Presented),
            (PinAnswer::Unclear, _) => Some(Self::Unclear),
        }
    }
}

/// Why a PIN is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBack {
    /// The token refused it before.
    Refused,
    /// It was presented before and the outcome was never learnt.
    OutcomeUnknown,
    /// That it is presented could not be written down, and it never succeeded.
    NotRecorded,
    /// It never succeeded, and what may count wrong PINs together with its token has refused
    /// another partition's.
    DeviceInDoubt,
}

/// What became of writing down that a PIN is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// It is on the disk.
    Written,
    /// It is not.
    Failed,
    /// It was not written, since it is not to be presented: what the file says of others, under
    /// its lock, is [`HeldBack::DeviceInDoubt`].
    DeviceInDoubt,
}

/// What a token answered to a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinAnswer {
    /// `CKR_OK`.
    Accepted,
    /// One of the codes by which a token refuses a PIN.
    Refused,
    /// The token was logged in already: the PIN was not judged.
    NotJudged,
    /// An error that leaves open whether the PIN was judged.
    Unclear,
}

/// One wish to present a PIN: which worker waits for the verdict, for which partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) worker: WorkerId,
    pub(crate) partition: PartitionId,
    pub(crate) ask: u64,
    pub(crate) device: DeviceTag,
}

/// What to do about a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Write this down, and go on when that is done.
    Record(Standing),
    /// Hold it back.
    Hold(HeldBack),
    /// Another partition presents this very PIN at this moment: wait for its outcome.
    Wait,
}

/// What follows from `presented` having been written, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Present it.
    Present(Wish),
    /// Hold it back, and judge the wishes of others again.
    Hold(Wish, HeldBack, Vec<Wish>),
    /// Who wished it has given up without being told: write this down for that partition (none:
    /// forget the tag).
    Withdrawn(PartitionId, Option<Standing>),
    /// Nobody waits for it.
    Nothing,
}

#[derive(Debug)]
struct Presentation {
    /// Who presents it; none: whoever wished it gave up before being told.
    wish: Option<Wish>,
    /// The partition that was written down.
    partition: PartitionId,
    /// Whether the worker was told to go on: from then on the PIN may have been presented.
    told: bool,
    /// The standing before it, to return to where the PIN was not judged.
    before: Option<Standing>,
    waiting: VecDeque<Wish>,
}

impl Presentation {
    /// Drops wishes that wait. Where the one that waits for the disk is among them, whoever is
    /// next takes its turn; nobody else may begin before the disk has answered.
    fn forget(&mut self, gone: impl Fn(&Wish) -> bool) {
        self.waiting.retain(|wish| !gone(wish));
        if !self.told && self.wish.as_ref().is_some_and(gone) {
            self.wish = self.waiting.pop_front();
        }
    }
}

/// Judges wishes to present PINs.
#[derive(Debug, Default)]
pub(crate) struct PinGuard {
    standings: BTreeMap<PinTag, Standing>,
    under_way: BTreeMap<PinTag, Presentation>,
    /// Wishes that wait until neither their worker nor their device has to do with another PIN that
    /// never succeeded.
    line: Vec<(PinTag, Wish)>,
}

impl PinGuard {
    pub(crate) fn new(standings: impl IntoIterator<Item = (PinTag, Standing)>) -> Self {
        Self {
            standings: standings.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A worker wishes to present the PIN of this tag.
    pub(crate) fn wish(&mut self, tag: PinTag, wish: Wish) -> Judgement {
        if let Some(presentation) = self.under_way.get_mut(&tag) {
            presentation.waiting.push_back(wish);
            return Judgement::Wait;
        }
        let before = self.standings.get(&tag).copied();
        let next = match Standing::when_presented(before) {
            Ok(next) => next,
            Err(reason) => return Judgement::Hold(reason),
        };
        if next.is_held_back() && self.is_at_risk(wish) {
            self.line.push((tag, wish));
            return Judgement::Wait;
        }
        self.standings.insert(tag, next);
        self.under_way.insert(
            tag,
            Presentation {
                wish: Some(wish),
                partition: wish.partition,
                told: false,
                before,
                waiting: VecDeque::new(),
            },
        );
        Judgement::Record(next)
    }

    /// Whether this worker presents, or is about to, what would be held back if it died now, or
    /// any worker does at this device.
    fn is_at_risk(&self, by: Wish) -> bool {
        self.under_way.iter().any(|(tag, presentation)| {
            let concerned = |wish: Wish| wish.worker == by.worker || wish.device == by.device;
            let standing = self.standings.get(tag);
            presentation.wish.is_some_and(concerned)
                && standing.is_some_and(|standing| standing.is_held_back())
        })
    }

    /// The wishes that no longer have to wait for another partition, to be judged again.
    pub(crate) fn next_in_line(&mut self) -> Vec<(PinTag, Wish)> {
        let line = std::mem::take(&mut self.line);
        let (wait, go) = line
            .into_iter()
            .partition(|(_, wish)| self.is_at_risk(*wish));
        self.line = wait;
        go
    }

    /// `presented` was written, or could not be.
    pub(crate) fn recorded(&mut self, tag: PinTag, recording: Recording) -> Recorded {
        let Some(presentation) = self.under_way.get_mut(&tag) else {
            return Recorded::Nothing;
        };
        if presentation.told {
            return Recorded::Nothing;
        }
        let Some(wish) = presentation.wish else {
            let partition = presentation.partition;
            return Recorded::Withdrawn(partition, self.withdrawn(tag).0);
        };
        // A PIN that is known good does no harm, written down or not.
        let known_good = presentation.before == Some(Standing::Accepted);
        if recording == Recording::Written || known_good {
            presentation.told = true;
            return Recorded::Present(wish);
        }
        // Where another process wrote meanwhile that this PIN is held back, that is why.
        let reason = match (Standing::when_presented(presentation.before), recording) {
            (Err(reason), _) => reason,
            (Ok(_), Recording::DeviceInDoubt) => HeldBack::DeviceInDoubt,
            (Ok(_), _) => HeldBack::NotRecorded,
        };
        Recorded::Hold(wish, reason, self.withdrawn(tag).1)
    }

    /// A wish ended without the PIN having been judged. Returns the standing to write down (none:
    /// forget the tag) and the wishes to judge again.
    fn withdrawn(&mut self, tag: PinTag) -> (Option<Standing>, Vec<Wish>) {
        let Some(presentation) = self.under_way.remove(&tag) else {
            return (self.standings.get(&tag).copied(), Vec::new());
        };
        match presentation.before {
            Some(before) => self.standings.insert(tag, before),
            None => self.standings.remove(&tag),
        };
        (presentation.before, presentation.waiting.into())
    }

    /// The token answered. Returns the standing to write down and the wishes to judge again.
    pub(crate) fn answered(
        &mut self,
        tag: PinTag,
        answer: PinAnswer,
    ) -> (Option<Standing>, Vec<Wish>) {
        if answer == PinAnswer::NotJudged {
            return self.withdrawn(tag);
        }
        let presentation = self.under_way.remove(&tag);
        let before = presentation.as_ref().and_then(|known| known.before);
        let standing = Standing::when_answered(before, answer);
        if let Some(standing) = standing {
            self.standings.insert(tag, standing);
        }
        let waiting = presentation.map(|presentation| presentation.waiting);
        (standing, waiting.unwrap_or_default().into())
    }

    /// The worker died: what it presented stays as it was written, unknown; its wishes are gone.
    /// Returns the wishes of other workers to judge again.
    pub(crate) fn worker_died(&mut self, worker: WorkerId) -> Vec<(PinTag, Wish)> {
        let mut again = Vec::new();
        self.line.retain(|(_, wish)| wish.worker != worker);
        self.under_way.retain(|tag, presentation| {
            presentation.forget(|wish| wish.worker == worker);
            if presentation.told && presentation.wish.is_some_and(|wish| wish.worker == worker) {
                again.extend(presentation.waiting.drain(..).map(|wish| (*tag, wish)));
                return false;
            }
            true
        });
        again
    }

    /// The worker was killed: what it has not been told yet, it will never hear. What it was told,
    /// it may have answered before.
    pub(crate) fn no_more_verdicts(&mut self, worker: WorkerId) {
        self.line.retain(|(_, wish)| wish.worker != worker);
        for presentation in self.under_way.values_mut() {
            presentation.forget(|wish| wish.worker == worker);
        }
    }

    /// The operation of a partition ended: its wishes are gone, unless it was told to present.
    pub(crate) fn gave_up(&mut self, worker: WorkerId, partition: PartitionId) {
        let gone = |wish: &Wish| wish.worker == worker && wish.partition == partition;
        self.line.retain(|(_, wish)| !gone(wish));
        for presentation in self.under_way.values_mut() {
            presentation.forget(gone);
        }
    }

    /// Another process or the operator changed what is known of this PIN; `None` forgets it.
    ///
    /// A refusal that is known here is lifted by forgetting it alone. An outcome that is open in
    /// the file does not count against what is known here: the file itself refuses a presentation
    /// while another process has one open.
    pub(crate) fn changed(&mut self, tag: PinTag, standing: Option<Standing>) {
        if let Some(presentation) = self.under_way.get_mut(&tag) {
            if !presentation.told {
                presentation.before = standing;
            }
            return;
        }
        match (standing, self.standings.get(&tag)) {
            (None, _) => {
                self.standings.remove(&tag);
            }
            (Some(_), Some(Standing::Refused)) => {}
            (Some(decided @ (Standing::Accepted | Standing::Refused)), _) => {
                self.standings.insert(tag, decided);
            }
            (Some(open), _) => {
                self.standings.entry(tag).or_insert(open);
            }
        }
    }

    /// The tag that a partition was told to present and has not answered for yet.
    pub(crate) fn presented_by(&self, worker: WorkerId, partition: PartitionId) -> Option<PinTag> {
        self.under_way.iter().find_map(|(tag, presentation)| {
            let wish = presentation.wish.filter(|_| presentation.told)?;
            (wish.worker == worker && wish.partition == partition).then_some(*tag)
        })
    }

    /// The device that a PIN is being presented to.
    pub(crate) fn device_of(&self, tag: PinTag) -> Option<DeviceTag> {
        Some(self.under_way.get(&tag)?.wish?.device)
    }

    /// What is known of a tag.
    pub(crate) fn standing(&self, tag: PinTag) -> Option<Standing> {
        self.standings.get(&tag).copied()
    }

    /// Presentations that are open or wait.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len() + self.line.len()
    }
}

#[cfg(test)]
mod tests;
