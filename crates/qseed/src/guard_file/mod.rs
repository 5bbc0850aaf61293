//! The PIN guard's memory: `pin-guard.jsonl` in the state directory.
//!
//! One JSON object a line, appended and synced before anything happens that it speaks of; for each
//! PIN the last line counts. Several daemons may share a state directory: each appends under a
//! lock, after it has read what the others appended. A last line without its end was never synced,
//! so what it speaks of never happened; it is cut off.
//!
//! Records are numbered, and `pin-guard.seal` beside the file remembers how far they had come when
//! a PIN was last held back or cleared. So a file that is missing, shortened, edited or replaced by
//! an older copy is noticed, and so is another key (the file says which one it is tied to). Then
//! nothing is presented until `qseed guard --reset`. A process that has the file open writes down
//! again what it knows.

mod contents;
mod disk;
mod presenter;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use qseed_engine::guard::PinRecord;
use qseed_model::pins::{DeviceTag, HeldBack, KeyTag, PinAnswer, PinTag, PinTags, ProcessTag};
use rustix::fs::FallocateFlags;
use serde::{Deserialize, Serialize};

pub(crate) use contents::{Contents, Remark};
use presenter::Presenter;

use crate::state_dir::{Acting, StateDir, StateDirError};

/// The file's name.
pub(crate) const NAME: &str = "pin-guard.jsonl";
/// The key's name. Only workers read it.
pub(crate) const KEY: &str = "pin-guard.key";
const SEAL: &str = "pin-guard.seal";
/// A file that is longer than this, in bytes, and than twice what it has to say, is rewritten.
const COMPACT_ABOVE: u64 = 256 * 1024;
/// A file that is longer than this, in bytes, is none of ours.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Room on the disk that a presentation takes beforehand, so that its answer can be recorded.
const ROOM_FOR_AN_ANSWER: u64 = 1024;
/// A reset counts on from here, so that no process takes its file for an older one.
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
    dir: StateDir,
    file: File,
    /// The bytes of it that were read or written.
    read: u64,
    contents: Contents,
    presenter: Option<Presenter>,
    /// Presentations of this process that have no answer yet.
    open: u64,
    /// The seal could not be written.
    unsealed: bool,
    /// Devices whose records other processes changed.
    changed: BTreeSet<DeviceTag>,
}

/// Reads what the guard's file says, and writes nothing; none: there is nothing of a guard.
pub(crate) fn read(dir: &StateDir) -> Result<Option<Contents>, StateDirError> {
    let mut contents = Contents::default();
    match dir.read(NAME, MAX_BYTES)? {
        Some(text) => {
            contents.read(&text);
            contents.check_end();
            judge_by_seal(dir, &mut contents)?;
        }
        None => match missing(dir) {
            None => return Ok(None),
            why => contents.records.lose(why),
        },
    }
    if contents.records.key().is_some() && !dir.exists(KEY) {
        let why = format!(
            "the PIN guard's key {} is missing",
            dir.path().join(KEY).display()
        );
        contents.records.lose(Some(why));
    }
    Ok(Some(contents))
}

/// Why a guard's file that is not there was lost; none: there never was one.
fn missing(dir: &StateDir) -> Option<String> {
    let beside = [KEY, SEAL].into_iter().find(|name| dir.exists(name))?;
    Some(format!(
        "the PIN guard's file {NAME} is missing, and {beside} is there"
    ))
}

fn judge_by_seal(dir: &StateDir, contents: &mut Contents) -> Result<(), StateDirError> {
    let Some(text) = dir.read(SEAL, 4096)? else {
        return Ok(());
    };
    let sealed = serde_json::from_slice::<Seal>(&text).map_or(0, |seal| seal.last);
    if contents.records.last() < sealed {
        contents.records.count_from(sealed);
        contents.lose_once(OLDER);
    }
    Ok(())
}

impl GuardFile {
    /// Opens the guard's file, and makes it and the state directory where they are missing.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, StateDirError> {
        Self::open_in(StateDir::create(state_dir)?)
    }

    /// Opens the guard's file in a state directory, and makes it where it is missing.
    pub(crate) fn open_in(dir: StateDir) -> Result<Self, StateDirError> {
        let file = loop {
            if let Some(file) = dir.open_file(NAME, true)? {
                break file;
            }
            let mut contents = Contents::default();
            contents.records.lose(missing(&dir));
            judge_by_seal(&dir, &mut contents)?;
            // Another process may be first.
            if let Some(file) = dir.make(NAME, contents.header(0).as_bytes())? {
                break file;
            }
        };
        let mut guard = Self {
            dir,
            file,
            read: 0,
            contents: Contents::default(),
            presenter: None,
            open: 0,
            unsealed: false,
            changed: BTreeSet::new(),
        };
        guard.locked(|guard| {
            guard.read_all()?;
            let needs_it = guard.read > COMPACT_ABOVE
                && guard.read / 2 > guard.contents.compact().len() as u64;
            if needs_it { guard.rewrite() } else { Ok(()) }
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
            guard.catch_up()?;
            let mut draft = Draft::of(&guard.contents);
            let drafted = guard.draft_all(entries, &mut draft);
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

    fn draft_all(
        &mut self,
        entries: &[Entry],
        draft: &mut Draft,
    ) -> Result<Vec<Option<HeldBack>>, StateDirError> {
        let entries = entries.iter();
        entries.map(|entry| self.draft(entry, draft)).collect()
    }

    /// Adds one entry to what is to be written. Why a presentation is held back.
    fn draft(
        &mut self,
        entry: &Entry,
        draft: &mut Draft,
    ) -> Result<Option<HeldBack>, StateDirError> {
        let records = &self.contents.records;
        let (record, answer) = match entry {
            Entry::Present(tags, partition) => {
                if records.key().is_some_and(|key| key != tags.key) && records.lost().is_none() {
                    let why = format!("another key took the place of the PIN guard's key {KEY}");
                    self.contents.records.lose(Some(why));
                    self.contents.records.bind(None);
                    draft.lines.push_str(&self.contents.header(0));
                }
                let by = self.presenter()?;
                let lives = |other| presenter::lives(&self.dir, other);
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
        let remark = Remark {
            since: Timestamp::now(),
            answer,
        };
        draft.lines.push_str(&contents::line_of(&record, &remark));
        let tag = record.tag;
        draft
            .replaced
            .push((tag, self.contents.put(record, remark)));
        Ok(None)
    }

    fn presenter(&mut self) -> Result<ProcessTag, StateDirError> {
        if self.presenter.is_none() {
            self.presenter = Some(Presenter::new(&self.dir)?);
        }
        Ok(self
            .presenter
            .as_ref()
            .map_or(ProcessTag([0; 8]), |it| it.tag))
    }

    fn write(&mut self, draft: &Draft) -> Result<(), StateDirError> {
        if draft.lines.is_empty() {
            return Ok(());
        }
        if draft.opened > 0 {
            let answers = (self.open + draft.opened) * ROOM_FOR_AN_ANSWER;
            let room = draft.lines.len() as u64 + answers;
            let flags = FallocateFlags::KEEP_SIZE;
            match rustix::fs::fallocate(&self.file, flags, self.read, room) {
                // Some file systems cannot.
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
                Err(why) => return Err(self.error(why.into())),
            }
        }
        let written = (&self.file)
            .write_all(draft.lines.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(why) = written {
            // A torn record must not stand before the next one.
            let _ = self.file.set_len(self.read);
            return Err(self.error(why));
        }
        self.read += draft.lines.len() as u64;
        Ok(())
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

    /// Reads what other processes appended. The devices whose records they changed since this was
    /// asked last.
    pub(crate) fn refresh(&mut self) -> Result<BTreeSet<DeviceTag>, StateDirError> {
        let unchanged = self.is_in_place() && self.length()? == self.read;
        if !unchanged {
            self.locked(Self::catch_up)?;
        }
        Ok(std::mem::take(&mut self.changed))
    }

    /// Begins anew where records were lost: keeps those that were made with the present key, and
    /// forgets the others.
    pub(crate) fn reset(&mut self) -> Result<(), StateDirError> {
        self.locked(|guard| {
            guard.catch_up()?;
            let last = guard.contents.records.last();
            let mut fresh = Contents::default();
            fresh.records.count_from(last.saturating_add(RESET));
            let key = guard.contents.records.key();
            if key.is_some() && guard.dir.exists(KEY) {
                fresh.records.bind(key);
                let known: Vec<PinRecord> = guard.contents.records.iter().cloned().collect();
                for record in known {
                    if let Some(remark) = guard.contents.remark(record.tag).cloned() {
                        fresh.put(record, remark);
                    }
                }
            }
            guard.contents = fresh;
            guard.rewrite()?;
            guard.seal();
            Ok(())
        })
    }
}

impl Drop for GuardFile {
    fn drop(&mut self) {
        if let Some(presenter) = &self.presenter {
            presenter.leave(&self.dir);
        }
    }
}

/// Lines that are about to be written, and what they replace.
#[derive(Default)]
struct Draft {
    lines: String,
    replaced: Vec<(PinTag, Option<(PinRecord, Remark)>)>,
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
