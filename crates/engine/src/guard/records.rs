//! What is known of every PIN, and whether one may be presented.

use std::collections::{BTreeMap, BTreeSet};

use qseed_model::pins::{
    DevicePinTag, DeviceTag, HeldBack, KeyTag, PinAnswer, PinTag, PinTags, ProcessTag, Standing,
    TokenTag,
};
use serde::{Deserialize, Serialize};

/// The last record of one PIN at one token: a line of the guard's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRecord {
    /// Its place in the order in which all processes record: a later record has a higher number.
    pub seq: u64,
    /// The PIN at its token.
    pub tag: PinTag,
    /// The PIN at any token of the device.
    pub at_device: DevicePinTag,
    /// The token.
    pub token: TokenTag,
    /// The device.
    pub device: DeviceTag,
    /// The partition that presented it.
    pub partition: String,
    /// What is known; none: nothing, since the operator cleared it or the token never judged it.
    pub standing: Option<Standing>,
    /// What was known before it was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Standing>,
    /// The process that presents it, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ProcessTag>,
    /// For people: when this was recorded.
    pub since: String,
    /// For people: what the token answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl PinRecord {
    /// Whether the token refused it, or may have.
    fn is_failed(&self) -> bool {
        !matches!(self.standing, None | Some(Standing::Accepted))
    }

    /// Whether two records are of one partition. Its name alone does not say so: daemons that
    /// share a state directory may each have a partition of that name.
    fn is_of(&self, partition: &str, token: TokenTag) -> bool {
        self.partition == partition && self.token == token
    }
}

/// Every PIN's last record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    by_tag: BTreeMap<PinTag, PinRecord>,
    /// The highest number that any record had.
    last: u64,
    /// Those of a device that it refused, or may have.
    failed: BTreeMap<DeviceTag, BTreeSet<PinTag>>,
    /// The PINs of a token that it accepted last.
    accepted: BTreeMap<TokenTag, BTreeSet<PinTag>>,
    /// The key that made the tags; none: no PIN was presented yet.
    key: Option<KeyTag>,
    /// Why these records may not be all that there were.
    lost: Option<String>,
}

impl Records {
    /// Whether a process may present a PIN for a partition. If so, this record must be on the disk
    /// before it does. `lives` says whether another process still runs.
    ///
    /// # Errors
    /// Why it is held back.
    pub fn judge(
        &self,
        wish: &PinTags,
        partition: &str,
        by: ProcessTag,
        lives: impl Fn(ProcessTag) -> bool,
    ) -> Result<PinRecord, HeldBack> {
        if self.lost.is_some() || self.key.is_some_and(|key| key != wish.key) {
            return Err(HeldBack::GuardLost);
        }
        let record = self.by_tag.get(&wish.tag);
        let standing = record.and_then(|record| record.standing);
        let lives = |presenter| presenter == by || lives(presenter);
        let next = match standing {
            None | Some(Standing::Accepted) => Standing::Presented,
            Some(Standing::Presented) if record.and_then(|it| it.by).is_some_and(lives) => {
                return Err(HeldBack::InFlight);
            }
            // It died before it could record the answer.
            Some(Standing::Presented | Standing::Unclear) => Standing::PresentedTwice,
            Some(held @ (Standing::Refused | Standing::PresentedTwice)) => {
                return Err(held.held_back().unwrap_or(HeldBack::Refused));
            }
        };
        if standing != Some(Standing::Accepted) {
            self.judge_device(wish, partition, standing.is_none())?;
        }
        Ok(PinRecord {
            seq: self.last.saturating_add(1),
            tag: wish.tag,
            at_device: wish.at_device,
            token: wish.token,
            device: wish.device,
            partition: partition.to_owned(),
            standing: Some(next),
            was: standing,
            by: Some(by),
            since: String::new(),
            answer: None,
        })
    }

    /// A device may count the wrong PINs of all its tokens together, and go on counting after a
    /// good login. So a PIN that it did not accept last waits while another partition's failed
    /// PIN was not put right, and while two were, whatever came of them. A partition's own earlier
    /// PIN does not count: the operator has changed it.
    fn judge_device(&self, wish: &PinTags, partition: &str, unknown: bool) -> Result<(), HeldBack> {
        let mut others = 0;
        for failed in self.failed_at(wish.device) {
            if failed.tag == wish.tag || failed.is_of(partition, wish.token) {
                continue;
            }
            // The same PIN at a token that has another label now.
            if unknown && failed.at_device == wish.at_device {
                return Err(HeldBack::Refused);
            }
            others += 1;
            if others > 1 || !self.was_put_right(failed) {
                return Err(HeldBack::DeviceInDoubt);
            }
        }
        Ok(())
    }

    fn failed_at(&self, device: DeviceTag) -> impl Iterator<Item = &PinRecord> {
        let tags = self.failed.get(&device).into_iter().flatten();
        tags.filter_map(|tag| self.by_tag.get(tag))
    }

    /// Whether the token has accepted another PIN of the same partition since.
    #[must_use]
    pub fn was_put_right(&self, failed: &PinRecord) -> bool {
        let accepted = self.accepted.get(&failed.token).into_iter().flatten();
        accepted
            .filter_map(|tag| self.by_tag.get(tag))
            .any(|other| other.is_of(&failed.partition, failed.token) && other.seq > failed.seq)
    }

    /// The record of a token's answer to a PIN that was presented; none: it never was.
    #[must_use]
    pub fn answered(&self, tag: PinTag, answer: PinAnswer) -> Option<PinRecord> {
        let record = self.by_tag.get(&tag)?;
        let standing = match answer {
            PinAnswer::Accepted => Some(Standing::Accepted),
            PinAnswer::Refused => Some(Standing::Refused),
            PinAnswer::NotJudged => record.was,
            PinAnswer::Unclear => match record.standing {
                Some(Standing::Presented) => Some(Standing::Unclear),
                other => other,
            },
        };
        Some(self.with_standing(record, standing))
    }

    /// The record by which the operator lets a PIN be presented again.
    #[must_use]
    pub fn cleared(&self, record: &PinRecord) -> PinRecord {
        self.with_standing(record, None)
    }

    fn with_standing(&self, record: &PinRecord, standing: Option<Standing>) -> PinRecord {
        PinRecord {
            seq: self.last.saturating_add(1),
            standing,
            by: None,
            answer: None,
            ..record.clone()
        }
    }

    /// The key that made the tags; none: no PIN was presented yet.
    #[must_use]
    pub fn key(&self) -> Option<KeyTag> {
        self.key
    }

    /// Ties the records to the key that makes their tags: with another key, nothing is presented.
    pub fn bind(&mut self, key: Option<KeyTag>) {
        self.key = key;
    }

    /// Why these records may not be all that there were: then nothing is presented.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Records were lost, so that nothing is presented any more; none: they were not.
    pub fn lose(&mut self, why: Option<String>) {
        self.lost = why;
    }

    /// Adds a record. Returns the earlier one of its PIN, which it replaces.
    pub fn put(&mut self, record: PinRecord) -> Option<PinRecord> {
        let (tag, token, device) = (record.tag, record.token, record.device);
        let before = self.remove(tag);
        self.last = self.last.max(record.seq);
        if record.is_failed() {
            self.failed.entry(device).or_default().insert(tag);
        }
        if record.standing == Some(Standing::Accepted) {
            self.accepted.entry(token).or_default().insert(tag);
        }
        self.by_tag.insert(tag, record);
        before
    }

    /// Removes a record.
    pub fn remove(&mut self, tag: PinTag) -> Option<PinRecord> {
        let record = self.by_tag.remove(&tag)?;
        if let Some(tags) = self.failed.get_mut(&record.device) {
            tags.remove(&tag);
        }
        if let Some(tags) = self.accepted.get_mut(&record.token) {
            tags.remove(&tag);
        }
        Some(record)
    }

    /// The last record of a PIN.
    #[must_use]
    pub fn get(&self, tag: PinTag) -> Option<&PinRecord> {
        self.by_tag.get(&tag)
    }

    /// What is known of a PIN.
    #[must_use]
    pub fn standing(&self, tag: PinTag) -> Option<Standing> {
        self.by_tag.get(&tag)?.standing
    }

    /// The highest number that any record had.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Records up to this number are known to have been.
    pub fn count_from(&mut self, last: u64) {
        self.last = last;
    }

    /// The PINs that their tokens accepted last.
    pub fn good(&self) -> impl Iterator<Item = PinTag> {
        self.accepted.values().flatten().copied()
    }

    /// Every PIN's last record.
    pub fn iter(&self) -> impl Iterator<Item = &PinRecord> {
        self.by_tag.values()
    }
}
