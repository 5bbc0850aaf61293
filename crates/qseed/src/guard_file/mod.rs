//! The PIN guard's memory: `pin-guard.jsonl` in the state directory.
//!
//! One JSON object a line, appended and synced before anything happens that it speaks of; for each
//! PIN the last line counts. Several daemons may share a state directory: each appends under a
//! lock, after it has read what the others appended. A last line without its end was never synced,
//! so what it speaks of never happened; it is cut off.
//!
//! Records are numbered, and `pin-guard.seal` beside the file remembers how far they had come when
//! a PIN was last held back or cleared. So a file that is missing, shortened, garbled or replaced by
//! an older copy is noticed, and so are another key (the file says which one it is tied to) and a
//! damaged seal. Then nothing is presented until `qseed guard --reset`. A process that has the file open writes down
//! again what it knows.

mod presenter;

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use qseed_engine::guard::{Contents, PinRecord, line_of};
use qseed_model::pins::{
    DeviceTag, GUARD_KEY_BYTES, HeldBack, KeyTag, PinAnswer, PinTag, PinTags, ProcessTag,
};
use serde::{Deserialize, Serialize};

use crate::log::format_time;
use crate::state_dir::{Acting, Found, SharedFile, StateDir, StateDirError};
use presenter::Presenter;

/// The file's name.
pub(crate) const NAME: &str = "pin-guard.jsonl";
/// The key's name. Only workers read it.
pub(crate) const KEY: &str = "pin-guard.key";
const SEAL: &str = "pin-guard.seal";
/// A file is rewritten when it is longer than this, in bytes, and than twice what it has to hold.
const COMPACT_ABOVE: u64 = 256 * 1024;
/// qseed writes no longer file, in bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Room on the disk that a presentation takes beforehand, so that its answer can be recorded.
const ROOM_FOR_AN_ANSWER: u64 = 1024;
/// A reset adds this to the number of the last record, so that no process takes the new file for an
/// older one.
const RESET: u64 = 1 << 32;

const OLDER: &str = "an older copy took the place of the PIN guard's file, or its end was cut off";

/// Something to record.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// This PIN is to be presented for this partition, if the records allow it.
    Present(PinTags, String),
    /// The token answered, with what it said for people.
    Answer(PinTag, PinAnswer, Option<String>),
    /// The operator lets it be tried again.
    Clear(PinTag),
}

/// How far the records had come when a PIN was last held back or cleared.
#[derive(Serialize, Deserialize)]
struct Seal {
    last: u64,
}

/// The guard's file, open.
#[derive(Debug)]
pub(crate) struct GuardFile {
    file: SharedFile,
    contents: Contents,
    presenter: Option<Presenter>,
    /// Presentations of this process that have no answer yet.
    open: u64,
    /// The seal could not be written.
    unsealed: bool,
    /// Devices whose records other processes changed.
    changed: BTreeSet<DeviceTag>,
}

/// Reads the guard's file, and writes nothing. There may be none.
pub(crate) fn read(dir: &StateDir) -> Result<Contents, StateDirError> {
    let text = dir.read(NAME, MAX_BYTES)?;
    let mut contents = contents_of(dir, &text.unwrap_or_default())?;
    if contents.records.key().is_some() && !has_key(dir) {
        let key = dir.path().join(KEY);
        let what = if dir.exists(KEY) {
            "damaged"
        } else {
            "missing"
        };
        let why = format!("the PIN guard's key {} is {what}", key.display());
        contents.records.lose(Some(why));
    }
    Ok(contents)
}

/// Whether there is a key of the right length. Only workers read it.
fn has_key(dir: &StateDir) -> bool {
    dir.length(KEY) == Some(GUARD_KEY_BYTES as u64)
}

/// What a guard's file says, judged by what else is in the state directory.
fn contents_of(dir: &StateDir, text: &[u8]) -> Result<Contents, StateDirError> {
    let mut contents = Contents::of(text);
    if contents.is_empty()
        && let Some(beside) = [KEY, SEAL].into_iter().find(|name| dir.exists(name))
    {
        contents.lose(&format!(
            "the PIN guard's file {NAME} is missing or empty, and {beside} is there"
        ));
    }
    if let Some(seal) = dir.read(SEAL, 4096)? {
        match serde_json::from_slice::<Seal>(&seal) {
            Ok(sealed) if contents.records.last() < sealed.last => {
                contents.records.count_from(sealed.last);
                contents.lose(OLDER);
            }
            Ok(_) => {}
            Err(_) => contents.lose(&format!(
                "{SEAL}, which holds the number of records, is damaged"
            )),
        }
    }
    Ok(contents)
}

impl GuardFile {
    /// Opens the guard's file in a state directory, and makes it where it is missing.
    pub(crate) fn open(dir: StateDir) -> Result<Self, StateDirError> {
        let file = SharedFile::open(dir, NAME, MAX_BYTES)?;
        let mut guard = Self {
            file,
            contents: Contents::default(),
            presenter: None,
            open: 0,
            unsealed: false,
            changed: BTreeSet::new(),
        };
        guard.locked(|guard| {
            let length = guard.file.known();
            let compact = || guard.contents.compact().len() as u64;
            if length > COMPACT_ABOVE && length / 2 > compact() {
                guard.rewrite()?;
            }
            Ok(())
        })?;
        guard.changed.clear();
        Ok(guard)
    }

    /// What the file says.
    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Why nothing is presented, where that is so.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.contents.records.lost()
    }

    /// Whether the guard's key may be made: no record was made with another one.
    pub(crate) fn key_may_be_made(&self) -> bool {
        self.lost().is_none() && self.contents.records.key().is_none()
    }

    /// Records entries in order, and syncs them. For each that is a presentation, why it is held
    /// back; none: it is on the disk, and may be made. When it fails, nothing of it was recorded.
    pub(crate) fn append(
        &mut self,
        entries: &[Entry],
    ) -> Result<Vec<Option<HeldBack>>, StateDirError> {
        self.locked(|guard| {
            let mut draft = Draft::of(&guard.contents);
            let entries = entries.iter();
            let drafted: Result<_, _> = entries.map(|it| guard.draft(it, &mut draft)).collect();
            let written = drafted.and_then(|held| guard.write(&draft).map(|()| held));
            let held = match written {
                Ok(held) => held,
                Err(why) => {
                    guard.take_back(draft);
                    return Err(why);
                }
            };
            guard.open = (guard.open + draft.opened).saturating_sub(draft.closed);
            if draft.seals || guard.unsealed {
                guard.seal();
            }
            Ok(held)
        })
    }

    /// Adds one entry to what is to be written. Why a presentation is held back.
    fn draft(
        &mut self,
        entry: &Entry,
        draft: &mut Draft,
    ) -> Result<Option<HeldBack>, StateDirError> {
        let records = &self.contents.records;
        let (mut record, answer) = match entry {
            Entry::Present(tags, partition) => {
                if records.key().is_some_and(|key| key != tags.key) && records.lost().is_none() {
                    let why = format!("another key took the place of the PIN guard's key {KEY}");
                    self.contents.records.lose(Some(why));
                    self.contents.records.bind(None);
                    draft.lines.push_str(&self.contents.header(0));
                }
                let by = self.presenter()?;
                let lives = |other| presenter::lives(self.file.dir(), other);
                match self.contents.records.judge(tags, partition, by, lives) {
                    Ok(record) => {
                        if self.contents.records.key().is_none() {
                            self.contents.records.bind(Some(tags.key));
                            draft.lines.push_str(&self.contents.header(0));
                            draft.seals = true;
                        }
                        draft.opened += 1;
                        (record, None)
                    }
                    Err(reason) => return Ok(Some(reason)),
                }
            }
            Entry::Answer(tag, answer, said) => match records.answered(*tag, *answer) {
                Some(record) => {
                    draft.closed += 1;
                    (record, said.clone())
                }
                None => return Ok(None),
            },
            Entry::Clear(tag) => match records.get(*tag) {
                Some(record) => (records.cleared(record), None),
                None => return Ok(None),
            },
        };
        let held = record.standing.is_none_or(|it| it.held_back().is_some());
        draft.seals |= held;
        record.since = format_time(Timestamp::now());
        record.answer = answer;
        draft.lines.push_str(&line_of(&record));
        let tag = record.tag;
        let before = self.contents.records.put(record);
        draft.replaced.push((tag, before));
        Ok(None)
    }

    fn presenter(&mut self) -> Result<ProcessTag, StateDirError> {
        let presenter = match self.presenter.take() {
            Some(presenter) => presenter,
            None => Presenter::new(self.file.dir())?,
        };
        Ok(self.presenter.insert(presenter).tag)
    }

    fn write(&mut self, draft: &Draft) -> Result<(), StateDirError> {
        if draft.lines.is_empty() {
            return Ok(());
        }
        if draft.opened > 0 {
            let answers = (self.open + draft.opened) * ROOM_FOR_AN_ANSWER;
            self.file.reserve(draft.lines.len() as u64 + answers)?;
        }
        self.file.append(&draft.lines, true)
    }

    fn take_back(&mut self, draft: Draft) {
        for (tag, before) in draft.replaced.into_iter().rev() {
            self.contents.take_back(tag, before);
        }
        let records = &mut self.contents.records;
        records.count_from(draft.last);
        records.bind(draft.key);
        records.lose(draft.lost);
    }

    /// Reads what other processes appended. Returns the devices whose records they changed since the
    /// last call.
    pub(crate) fn refresh(&mut self) -> Result<BTreeSet<DeviceTag>, StateDirError> {
        if !self.file.is_known() {
            self.locked(|_| Ok(()))?;
        }
        Ok(std::mem::take(&mut self.changed))
    }

    /// Starts again after records were lost: keeps those that were made with the present key, and
    /// forgets the others.
    pub(crate) fn reset(&mut self) -> Result<(), StateDirError> {
        self.locked(|guard| {
            let key = guard.contents.records.key();
            let mut fresh = Contents::default();
            if !has_key(guard.file.dir()) {
                guard.file.dir().remove(KEY)?;
            } else if key.is_some() {
                fresh.add_missing(&guard.contents);
            }
            let last = guard.contents.records.last();
            fresh.records.count_from(last.saturating_add(RESET));
            guard.contents = fresh;
            guard.rewrite()?;
            guard.seal();
            Ok(())
        })
    }

    /// Does something under the file's lock, knowing all that other processes recorded.
    fn locked<T>(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<T, StateDirError>,
    ) -> Result<T, StateDirError> {
        let found = self.file.lock()?;
        let result = self.take_in(found).and_then(|()| action(self));
        self.file.unlock();
        result
    }

    fn take_in(&mut self, found: Found) -> Result<(), StateDirError> {
        match found {
            Found::Appended(text) => {
                let last = self.contents.records.last();
                self.contents.read(&text);
                let records = self.contents.records.iter();
                let new = records.filter(|record| record.seq > last);
                self.changed.extend(new.map(|record| record.device));
                Ok(())
            }
            Found::Replaced(text) => {
                let taken = self.take_other_file(&text);
                if taken.is_err() {
                    self.file.read_again();
                }
                taken
            }
        }
    }

    /// Takes in another file that took the place of this one. If that lost records, what this
    /// process knows is written again.
    fn take_other_file(&mut self, text: &[u8]) -> Result<(), StateDirError> {
        let mut found = contents_of(self.file.dir(), text)?;
        let is_older = found.records.last() < self.contents.records.last();
        if is_older {
            found.lose(OLDER);
        }
        let ours = std::mem::replace(&mut self.contents, found);
        let records = ours.records.iter().chain(self.contents.records.iter());
        self.changed = records.map(|record| record.device).collect();
        let is_new = self.contents.is_empty();
        let is_lost = self.lost().is_some();
        let knew_more = is_lost && self.contents.add_missing(&ours) | is_older;
        if is_new || knew_more {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Replaces the file by one with the last record of each PIN.
    fn rewrite(&mut self) -> Result<(), StateDirError> {
        let text = self.contents.compact();
        self.file.replace(&text)?;
        self.contents = Contents::of(text.as_bytes());
        Ok(())
    }

    /// Remembers how far the records have come. If that fails, the next record tries again.
    fn seal(&mut self) {
        let last = self.contents.records.last();
        let text = serde_json::to_vec(&Seal { last }).expect("a seal is plain data");
        self.unsealed = self.file.dir().replace(SEAL, &text).is_err();
    }
}

impl Drop for GuardFile {
    fn drop(&mut self) {
        if let Some(presenter) = &self.presenter {
            presenter.leave(self.file.dir());
        }
    }
}

/// Lines that are about to be written, and what they replace.
#[derive(Default)]
struct Draft {
    lines: String,
    replaced: Vec<(PinTag, Option<PinRecord>)>,
    /// Presentations, and answers to them.
    opened: u64,
    closed: u64,
    /// A PIN is held back or cleared by them.
    seals: bool,
    /// What the header said before.
    last: u64,
    key: Option<KeyTag>,
    lost: Option<String>,
}

impl Draft {
    fn of(contents: &Contents) -> Self {
        Self {
            last: contents.records.last(),
            key: contents.records.key(),
            lost: contents.records.lost().map(str::to_owned),
            ..Self::default()
        }
    }
}

/// The state directory, as the operator's commands open it.
pub(crate) fn operators_dir(path: &Path) -> Result<StateDir, StateDirError> {
    StateDir::open(path, Acting::ForOwner)
}

#[cfg(test)]
pub(crate) mod tests;
