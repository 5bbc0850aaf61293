//! The guard's file, and a judge of promise 3 that knows what really happened.

use std::collections::{BTreeMap, BTreeSet};

use qseed_engine::guard::Records;
use qseed_engine::{PartitionId, WorkerId};
use qseed_model::pins::{DeviceTag, HeldBack, PinAnswer, PinTag, PinTags, ProcessTag, Standing};

use crate::Checked;

/// Who presents a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presenter {
    Worker(WorkerId, PartitionId),
    /// `qseed check --login`, beside the daemon.
    Check(ProcessTag),
}

/// What really happened to one PIN at one token since it last succeeded.
#[derive(Debug, Default)]
struct Truth {
    /// Presentations that the token may have judged.
    presentations: u32,
    /// Somebody who lives, or the file, has learnt that the token refused it.
    refused: bool,
    under_way: Option<Presenter>,
}

/// The guard's file, and the truth beside it.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    pub(crate) file: Records,
    truth: BTreeMap<PinTag, Truth>,
    /// Answers that the disk could not take yet.
    unwritten: Vec<(PinTag, PinAnswer)>,
    daemons: u8,
    pub(crate) checks: BTreeSet<ProcessTag>,
}

impl Pins {
    fn daemon(&self) -> ProcessTag {
        ProcessTag([0, self.daemons, 0, 0, 0, 0, 0, 0])
    }

    /// The file judges, and records a presentation that it allows.
    pub(crate) fn judge(
        &mut self,
        name: &str,
        tags: &PinTags,
        by: Option<ProcessTag>,
        works: bool,
    ) -> Option<HeldBack> {
        if !works {
            return Some(HeldBack::NotRecorded);
        }
        self.write_the_rest();
        let by = by.unwrap_or(self.daemon());
        let judged = self.file.judge(tags, name, by, |other| self.lives(other));
        judged.map(|record| self.file.put(record)).err()
    }

    fn lives(&self, process: ProcessTag) -> bool {
        process == self.daemon() || self.checks.contains(&process)
    }

    /// An answer reaches the disk, or waits until the disk works.
    pub(crate) fn record(&mut self, tag: PinTag, answer: PinAnswer, works: bool) {
        self.unwritten.push((tag, answer));
        if works {
            self.write_the_rest();
        }
    }

    /// The disk works again.
    pub(crate) fn write_the_rest(&mut self) {
        for (tag, answer) in std::mem::take(&mut self.unwritten) {
            if let Some(record) = self.file.answered(tag, answer) {
                self.file.put(record);
            }
        }
    }

    /// A PIN is presented.
    pub(crate) fn present(&mut self, tag: PinTag, by: Presenter) -> Checked {
        let standing = self.file.standing(tag);
        let truth = self.truth.entry(tag).or_default();
        let wrong = |what: &str| {
            Err(format!(
                "P3: presented although {what}: {tag:?} {truth:?} {standing:?}"
            ))
        };
        if truth.under_way.is_some() {
            return wrong("it is being presented");
        }
        if truth.refused {
            return wrong("the token refused it");
        }
        if truth.presentations > 1 {
            return wrong("it was presented twice without a success");
        }
        if !matches!(
            standing,
            Some(Standing::Presented | Standing::PresentedTwice)
        ) {
            return wrong("the disk does not say so");
        }
        truth.presentations += 1;
        truth.under_way = Some(by);
        Ok(())
    }

    /// The verdict to present went to a worker that had just died.
    pub(crate) fn told_the_dead(&mut self, tag: PinTag) {
        self.truth.entry(tag).or_default().presentations += 1;
    }

    /// The PIN that a worker may present for a partition and has not answered for.
    pub(crate) fn presented_by(&self, worker: WorkerId, partition: PartitionId) -> Option<PinTag> {
        let by = Some(Presenter::Worker(worker, partition));
        let mut truth = self.truth.iter();
        truth
            .find(|(_, truth)| truth.under_way == by)
            .map(|(tag, _)| *tag)
    }

    /// Whoever presents it learns how it went.
    pub(crate) fn answered(&mut self, tag: PinTag, answer: PinAnswer) {
        let truth = self.truth.entry(tag).or_default();
        truth.under_way = None;
        match answer {
            PinAnswer::Accepted => *truth = Truth::default(),
            PinAnswer::Refused => truth.refused = true,
            PinAnswer::NotJudged => truth.presentations -= 1,
            PinAnswer::Unclear => {}
        }
    }

    /// A crash of its worker would hold back no other PIN with it, and its device is not being
    /// offered another PIN that it did not accept last.
    pub(crate) fn alone_at_risk(&self, tag: PinTag, worker: WorkerId) -> Checked {
        let device = |tag: PinTag| self.file.get(tag).map(|record| record.device);
        let at_risk = |tag: PinTag| {
            let record = self.file.get(tag);
            record.is_some_and(|record| record.was != Some(Standing::Accepted))
        };
        let other = self.truth.iter().find(|(other, truth)| {
            let shares = match truth.under_way {
                Some(Presenter::Worker(by, _)) => by == worker || device(**other) == device(tag),
                Some(Presenter::Check(_)) => device(**other) == device(tag),
                None => false,
            };
            **other != tag && shares && at_risk(**other)
        });
        match other {
            Some((other, _)) if at_risk(tag) => Err(format!(
                "P3/P5: two at risk at a time at {worker:?} or a device: {tag:?}, {other:?}"
            )),
            _ => Ok(()),
        }
    }

    /// A worker is gone, and with it the answer to what it presented.
    pub(crate) fn worker_died(&mut self, worker: WorkerId) {
        self.forget(|by| matches!(by, Presenter::Worker(its, _) if its == worker));
    }

    /// A check was killed in the middle of a login.
    pub(crate) fn check_died(&mut self, check: ProcessTag) {
        self.checks.remove(&check);
        self.forget(|by| by == Presenter::Check(check));
        self.know_the_file_alone(check);
    }

    fn forget(&mut self, gone: impl Fn(Presenter) -> bool) {
        for truth in self.truth.values_mut() {
            if truth.under_way.is_some_and(&gone) {
                truth.under_way = None;
            }
        }
    }

    /// The daemon died: what the disk does not say is not known any more.
    pub(crate) fn daemon_died(&mut self) {
        self.forget(|by| matches!(by, Presenter::Worker(..)));
        self.unwritten.clear();
        self.know_the_file_alone(self.daemon());
        self.daemons += 1;
    }

    /// What a dead process recorded before a presentation may have happened, and what it learnt
    /// and did not record is not known.
    fn know_the_file_alone(&mut self, process: ProcessTag) {
        for record in self.file.iter().filter(|record| record.by == Some(process)) {
            let recorded = match record.standing {
                Some(Standing::PresentedTwice) => 2,
                _ => 1,
            };
            let truth = self.truth.entry(record.tag).or_default();
            truth.presentations = truth.presentations.max(recorded);
            truth.refused = false;
        }
    }

    /// A PIN is held back, which needs a reason.
    pub(crate) fn held(&self, tags: &PinTags, reason: HeldBack, disk_works: bool) -> Checked {
        let failed = |tag: PinTag| {
            let truth = self.truth.get(&tag);
            truth.is_some_and(|it| it.refused || it.presentations > 0 || it.under_way.is_some())
        };
        let others = || self.file.iter().filter(|record| record.tag != tags.tag);
        let truth = self.truth.get(&tags.tag);
        let justified = match reason {
            HeldBack::NotRecorded => !disk_works,
            HeldBack::Refused => {
                truth.is_some_and(|truth| truth.refused)
                    || others().any(|it| it.at_device == tags.at_device && failed(it.tag))
            }
            HeldBack::OutcomeUnknown => truth.is_some_and(|truth| truth.presentations > 1),
            HeldBack::InFlight => failed(tags.tag),
            HeldBack::DeviceInDoubt => {
                others().any(|it| it.device == tags.device && failed(it.tag))
            }
            HeldBack::GuardLost => false,
        };
        if justified {
            return Ok(());
        }
        Err(format!(
            "a PIN is held back without need ({reason:?}): {tags:?} {truth:?}"
        ))
    }

    /// Whether the guard may hold it back.
    pub(crate) fn may_be_held(&self, name: &str, tags: &PinTags) -> bool {
        let by = self.daemon();
        let waits = self.unwritten.iter().any(|(tag, _)| *tag == tags.tag);
        waits
            || self
                .file
                .judge(tags, name, by, |other| self.checks.contains(&other))
                .is_err()
                && self.presented_by_daemon(tags.tag).is_none()
    }

    fn presented_by_daemon(&self, tag: PinTag) -> Option<Presenter> {
        let by = self.truth.get(&tag)?.under_way?;
        matches!(by, Presenter::Worker(..)).then_some(by)
    }

    /// The operator mended a device and cleared its PINs.
    pub(crate) fn clear(&mut self, device: DeviceTag) {
        self.write_the_rest();
        let held: Vec<_> = self
            .file
            .iter()
            .filter(|record| record.device == device)
            .cloned()
            .collect();
        for record in held {
            let truth = self.truth.entry(record.tag).or_default();
            if truth.under_way.is_some() || record.standing == Some(Standing::Accepted) {
                continue;
            }
            *truth = Truth::default();
            let cleared = self.file.cleared(&record);
            self.file.put(cleared);
        }
    }
}
