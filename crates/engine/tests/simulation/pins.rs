//! Judges promise 3: a refused PIN is never presented again.

use std::collections::{BTreeMap, BTreeSet};

use qseed_engine::guard::{HeldBack, Standing};
use qseed_engine::{PartitionId, PinTag, WorkerId};

use crate::Checked;
use crate::tokens::device_of;

/// What really happened to one PIN at one token.
#[derive(Debug, Default)]
struct History {
    /// The token accepted it at some time since the operator last cleared it.
    accepted: bool,
    /// The daemon learnt that the token refused it.
    refused: bool,
    /// Presentations since the last acceptance whose outcome was lost.
    hidden: u32,
    /// Presentations since the last acceptance that the token answered neither way.
    unclear: u32,
    /// Presentations since the last acceptance that the token refused, whoever learnt it.
    refusals: u32,
    /// A write that concerned it failed, so that the disk knows less than the daemon did.
    disk_failed: bool,
    /// Who presents it at this moment.
    presented_by: Option<(WorkerId, PartitionId)>,
}

/// Every PIN's history, and what the disk says of it.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    history: BTreeMap<PinTag, History>,
    pub(crate) disk: BTreeMap<PinTag, Standing>,
    /// What the disk could not take yet.
    unwritten: BTreeMap<PinTag, Option<Standing>>,
    /// What the disk said of a PIN when this daemon started, where that holds it back.
    held_at_start: BTreeSet<PinTag>,
}

impl Pins {
    /// A record reaches the disk, or does not. A presentation is not written over a record that
    /// could not be written before it: that one goes first.
    pub(crate) fn write(
        &mut self,
        tag: PinTag,
        standing: Option<Standing>,
        works: bool,
        outcome: bool,
    ) {
        if !works {
            self.history.entry(tag).or_default().disk_failed = true;
            if outcome {
                self.unwritten.insert(tag, standing);
            }
            return;
        }
        self.unwritten.remove(&tag);
        match standing {
            Some(standing) => self.disk.insert(tag, standing),
            None => self.disk.remove(&tag),
        };
    }

    /// The disk works again.
    pub(crate) fn write_the_rest(&mut self) {
        for (tag, standing) in std::mem::take(&mut self.unwritten) {
            self.write(tag, standing, true, true);
        }
    }

    /// The verdict is to present.
    pub(crate) fn present(
        &mut self,
        tag: PinTag,
        worker: WorkerId,
        partition: PartitionId,
    ) -> Checked {
        let written = self.disk.get(&tag).copied();
        let history = self.history.entry(tag).or_default();
        let wrong = |what: &str| {
            Err(format!(
                "P3: presented although {what}: {tag:?} {history:?}"
            ))
        };
        if history.presented_by.is_some() {
            return wrong("it is presented at this moment");
        }
        if history.refused {
            return wrong("the token refused it");
        }
        let excused = history.accepted && history.disk_failed;
        let may_be_hidden = u32::from(history.accepted);
        if history.hidden > may_be_hidden && !excused {
            return wrong("an outcome is not known");
        }
        if !history.accepted && history.unclear > 1 {
            return wrong("two outcomes were unclear");
        }
        let says_presented = matches!(
            written,
            Some(Standing::Presented | Standing::PresentedAgain | Standing::PresentedLast)
        );
        let known_good = history.accepted && written == Some(Standing::Accepted);
        if !says_presented && !known_good {
            return wrong("the disk does not say so");
        }
        history.presented_by = Some((worker, partition));
        Ok(())
    }

    /// The verdict to present went to a worker that had just died.
    pub(crate) fn told_the_dead(&mut self, tag: PinTag) {
        self.history.entry(tag).or_default().hidden += 1;
    }

    /// The PIN that a worker was told to present for a partition and has not answered for.
    pub(crate) fn presented_by(&self, worker: WorkerId, partition: PartitionId) -> Option<PinTag> {
        let by = Some((worker, partition));
        let mut history = self.history.iter();
        history
            .find(|(_, history)| history.presented_by == by)
            .map(|(tag, _)| *tag)
    }

    /// The token judges it.
    pub(crate) fn judged(&mut self, tag: PinTag, right: bool) -> Checked {
        let history = self.history.entry(tag).or_default();
        if right {
            return Ok(());
        }
        history.refusals += 1;
        let allowed = if history.accepted { 2 } else { 1 };
        if history.refusals > allowed && !(history.accepted && history.disk_failed) {
            return Err(format!("P3: refused again: {tag:?} {history:?}"));
        }
        Ok(())
    }

    /// The daemon learns how it went.
    pub(crate) fn answered(&mut self, tag: PinTag, answer: qseed_engine::guard::PinAnswer) {
        use qseed_engine::guard::PinAnswer;
        let history = self.history.entry(tag).or_default();
        history.presented_by = None;
        match answer {
            PinAnswer::Accepted => {
                *history = History {
                    accepted: true,
                    disk_failed: history.disk_failed,
                    ..History::default()
                };
            }
            PinAnswer::Refused => history.refused = true,
            PinAnswer::Unclear => history.unclear += 1,
            PinAnswer::NotJudged => {}
        }
    }

    /// The verdict is to present: a crash of its worker would hold back no other PIN with it, and
    /// its device is not being offered another PIN that never succeeded.
    pub(crate) fn alone_at_risk(&self, tag: PinTag, worker: WorkerId) -> Checked {
        let at_risk = |tag: &PinTag| {
            let standing = self.disk.get(tag).copied();
            standing.is_some_and(Standing::is_held_back)
        };
        let others = self.history.iter().filter(|(other, history)| {
            **other != tag
                && history
                    .presented_by
                    .is_some_and(|(by, _)| by == worker || device_of(**other) == device_of(tag))
        });
        match others.map(|(other, _)| other).find(|other| at_risk(other)) {
            Some(other) if at_risk(&tag) => Err(format!(
                "P3/P5: two at risk at a time at {worker:?} or a device: {tag:?}, {other:?}"
            )),
            _ => Ok(()),
        }
    }

    /// A worker is gone, and with it the outcome of what it presented.
    pub(crate) fn worker_died(&mut self, worker: WorkerId) {
        for history in self.history.values_mut() {
            if history.presented_by.is_some_and(|(by, _)| by == worker) {
                history.presented_by = None;
                history.hidden += 1;
            }
        }
    }

    /// The daemon died: what the disk does not say is not known any more.
    pub(crate) fn daemon_died(&mut self) {
        for (tag, history) in &mut self.history {
            let written = self.disk.get(tag).copied();
            if history.presented_by.take().is_some() {
                history.hidden += 1;
            }
            if history.refused && written != Some(Standing::Refused) {
                history.refused = false;
                history.hidden += 1;
                // The disk failed between the two: the one case in which more is presented.
                if history.disk_failed && written == Some(Standing::Accepted) {
                    history.hidden = 0;
                }
            }
        }
        self.unwritten.clear();
        self.held_at_start = self
            .disk
            .iter()
            .filter(|(_, standing)| {
                matches!(
                    standing,
                    Standing::Refused | Standing::Presented | Standing::PresentedLast
                )
            })
            .map(|(tag, _)| *tag)
            .collect();
    }

    /// The verdict is to hold it back, which needs a reason.
    pub(crate) fn held(&self, tag: PinTag, reason: HeldBack, disk_works: bool) -> Checked {
        let justified = match self.history.get(&tag) {
            Some(history) => {
                history.refused
                    || history.hidden > 0
                    || history.unclear > 1
                    || (reason == HeldBack::NotRecorded && !disk_works)
            }
            None => reason == HeldBack::NotRecorded && !disk_works,
        };
        if justified || self.held_at_start.contains(&tag) {
            return Ok(());
        }
        Err(format!(
            "a PIN is held back without need ({reason:?}): {tag:?} {:?}",
            self.history.get(&tag)
        ))
    }

    /// Whether the guard may hold it back.
    pub(crate) fn may_be_held(&self, tag: PinTag) -> bool {
        self.held(tag, HeldBack::Refused, true).is_ok()
    }

    /// The operator mended the token and cleared the PIN.
    pub(crate) fn clear(&mut self, tag: PinTag) {
        self.disk.remove(&tag);
        self.unwritten.remove(&tag);
        self.held_at_start.remove(&tag);
        let history = self.history.entry(tag).or_default();
        *history = History {
            presented_by: history.presented_by,
            ..History::default()
        };
    }
}
