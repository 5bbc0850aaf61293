//! The PIN guard's memory: `pin-guard.jsonl` in the state directory.
//!
//! One JSON object a line, appended and synced before anything happens that it speaks of; for each
//! tag the last line counts. Several daemons may share a state directory: each appends under a
//! lock, after it has read what the others appended. A last line without its end was never synced,
//! so what it speaks of never happened; it is cut off.

mod devices;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use qseed_engine::PinTag;
use qseed_engine::guard::Standing;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

pub(crate) use devices::Device;

/// A guard file longer than this, in bytes, is rewritten with its last lines alone when it is
/// opened.
const COMPACT_ABOVE: u64 = 256 * 1024;
/// A guard file longer than this is none of ours.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is known of one PIN at one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The PIN's tag, in hexadecimal.
    #[serde(with = "hex")]
    pub(crate) tag: [u8; 32],
    /// What is known; `None`: cleared by the operator, or never judged.
    pub(crate) standing: Option<Known>,
    /// The partition that presented it.
    pub(crate) partition: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What the token answered, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<String>,
    /// What may count wrong PINs together with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<Device>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is on the disk.
    Written,
    /// Left out: this PIN is held back.
    HeldBack,
    /// Left out: its device is in doubt.
    DeviceInDoubt,
}

/// A record to append.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// Whether the PIN is presented once the record is on disk.
    pub(crate) presents: bool,
}

/// [`Standing`], as the file spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Known {
    Accepted,
    Refused,
    Presented,
    PresentedAgain,
    PresentedLast,
    Unclear,
}

impl Record {
    fn is_held_back(&self) -> bool {
        self.standing
            .is_some_and(|known| known.held_back().is_some())
    }
}

impl Known {
    /// Whether the PIN is held back, and why, for people.
    pub(crate) fn held_back(self) -> Option<&'static str> {
        match self {
            Self::Refused => Some("the token refused it"),
            Self::Presented | Self::PresentedLast => {
                Some("it was presented and the outcome was never learnt")
            }
            Self::Accepted | Self::PresentedAgain | Self::Unclear => None,
        }
    }
}

impl From<Standing> for Known {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Accepted => Self::Accepted,
            Standing::Refused => Self::Refused,
            Standing::Presented => Self::Presented,
            Standing::PresentedAgain => Self::PresentedAgain,
            Standing::PresentedLast => Self::PresentedLast,
            Standing::Unclear => Self::Unclear,
        }
    }
}

impl From<Known> for Standing {
    fn from(known: Known) -> Self {
        match known {
            Known::Accepted => Self::Accepted,
            Known::Refused => Self::Refused,
            Known::Presented => Self::Presented,
            Known::PresentedAgain => Self::PresentedAgain,
            Known::PresentedLast => Self::PresentedLast,
            Known::Unclear => Self::Unclear,
        }
    }
}

/// Why the guard's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardFileError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// It holds something else than a guard's records.
    #[error(
        "{path}, line {line}: not a record of the PIN guard; restore the file, or move it away \
             if every PIN in the configuration is right"
    )]
    Corrupt { path: PathBuf, line: usize },
}

/// The guard's file, open.
#[derive(Debug)]
pub(crate) struct GuardFile {
    path: PathBuf,
    file: File,
    /// What of it has been read.
    read: u64,
    /// The lines that have been read.
    lines: usize,
    records: BTreeMap<PinTag, Record>,
}

impl GuardFile {
    /// Where it is in a state directory.
    pub(crate) fn path_in(state_dir: &Path) -> PathBuf {
        state_dir.join("pin-guard.jsonl")
    }

    /// Opens the guard's file, and makes it and the state directory where they are missing.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, GuardFileError> {
        let path = Self::path_in(state_dir);
        let error = |source| GuardFileError::Io {
            path: path.clone(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(error)?;
        let existed = path.exists();
        let file = open_file(&path).map_err(error)?;
        if !existed {
            sync_folder(state_dir).map_err(error)?;
        }
        let mut guard = Self {
            path,
            file,
            read: 0,
            lines: 0,
            records: BTreeMap::new(),
        };
        guard.locked(|guard| {
            guard.absorb()?;
            if guard.read > COMPACT_ABOVE {
                guard.compact()
            } else {
                Ok(())
            }
        })?;
        Ok(guard)
    }

    /// What a file says that can be read and not written, on a disk that went read-only for
    /// example: the last record of each tag.
    pub(crate) fn read_only(state_dir: &Path) -> Result<Vec<Record>, GuardFileError> {
        let path = Self::path_in(state_dir);
        let file = File::open(&path).map_err(|source| GuardFileError::Io {
            path: path.clone(),
            source,
        })?;
        let mut guard = Self {
            path,
            file,
            read: 0,
            lines: 0,
            records: BTreeMap::new(),
        };
        guard.take_in()?;
        Ok(guard.records.into_values().collect())
    }

    /// Every record, the last of each tag.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// What is known of a tag.
    pub(crate) fn standing(&self, tag: PinTag) -> Option<Standing> {
        self.records.get(&tag)?.standing.map(Standing::from)
    }

    /// Whether the guard's key may be made anew: with another key the guard would not know again
    /// a PIN that it holds back.
    pub(crate) fn key_may_be_made(&self) -> bool {
        !self.records.values().any(|record| {
            record
                .standing
                .is_some_and(|known| known.held_back().is_some() || known == Known::Unclear)
        })
    }

    /// Appends records and syncs them. One that is to allow a presentation is left out where the
    /// file says that this PIN is held back, since another process has presented it meanwhile, or
    /// that its device is in doubt.
    pub(crate) fn append(&mut self, records: Vec<Entry>) -> Result<Vec<Taken>, GuardFileError> {
        self.locked(|guard| {
            guard.absorb()?;
            let mut text = String::new();
            let mut taken = Vec::with_capacity(records.len());
            // What a record replaces: each is judged by those before it, which may not be written.
            let mut replaced = Vec::with_capacity(records.len());
            for Entry { record, presents } in records {
                let verdict = if presents {
                    guard.judge(&record)
                } else {
                    Taken::Written
                };
                taken.push(verdict);
                if verdict == Taken::Written {
                    text.push_str(&serde_json::to_string(&record).expect("a record is plain data"));
                    text.push('\n');
                    let tag = PinTag(record.tag);
                    replaced.push((tag, guard.records.insert(tag, record)));
                }
            }
            let error = |source| GuardFileError::Io {
                path: guard.path.clone(),
                source,
            };
            if let Err(why) = guard
                .file
                .write_all(text.as_bytes())
                .and_then(|()| guard.file.sync_data())
            {
                // A torn record must not stand before the next one.
                let _ = guard.file.set_len(guard.read);
                let why = error(why);
                for (tag, before) in replaced.into_iter().rev() {
                    match before {
                        Some(before) => guard.records.insert(tag, before),
                        None => guard.records.remove(&tag),
                    };
                }
                return Err(why);
            }
            guard.read += text.len() as u64;
            guard.lines += replaced.len();
            Ok(taken)
        })
    }

    /// Reads what other processes appended; returns the tags that it speaks of.
    pub(crate) fn refresh(&mut self) -> Result<Vec<PinTag>, GuardFileError> {
        let error = |source| GuardFileError::Io {
            path: self.path.clone(),
            source,
        };
        let unchanged = std::fs::metadata(&self.path).is_ok_and(|now| {
            self.file
                .metadata()
                .is_ok_and(|ours| ours.ino() == now.ino())
                && now.len() == self.read
        });
        if unchanged {
            return Ok(Vec::new());
        }
        let before = self.records.clone();
        // Another process may have put a shorter file in its place.
        let file = open_file(&self.path).map_err(error)?;
        *self = Self {
            path: self.path.clone(),
            file,
            read: 0,
            lines: 0,
            records: BTreeMap::new(),
        };
        self.locked(Self::absorb)?;
        let tags: BTreeSet<_> = before.keys().chain(self.records.keys()).copied().collect();
        Ok(tags
            .into_iter()
            .filter(|tag| before.get(tag) != self.records.get(tag))
            .collect())
    }

    fn locked<T>(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<T, GuardFileError>,
    ) -> Result<T, GuardFileError> {
        let path = self.path.clone();
        let error = |source: io::Error| GuardFileError::Io {
            path: path.clone(),
            source,
        };
        loop {
            rustix::fs::flock(&self.file, FlockOperation::LockExclusive)
                .map_err(|why| error(why.into()))?;
            let ours = self.file.metadata().map_err(error)?;
            match std::fs::metadata(&self.path) {
                Ok(now) if now.ino() == ours.ino() && now.dev() == ours.dev() => break,
                // Another process compacted it, or somebody removed it: begin anew.
                _ => {
                    self.file = open_file(&self.path).map_err(error)?;
                    self.read = 0;
                    self.lines = 0;
                    self.records.clear();
                }
            }
        }
        let result = action(self);
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        result
    }

    /// Reads what has not been read yet, and cuts a torn last line off.
    fn absorb(&mut self) -> Result<(), GuardFileError> {
        if self.take_in()? {
            let cut = self.file.set_len(self.read);
            cut.map_err(|source| GuardFileError::Io {
                path: self.path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Reads whole lines that have not been read yet. Returns whether a torn one is behind them.
    fn take_in(&mut self) -> Result<bool, GuardFileError> {
        let path = self.path.clone();
        let error = |source| GuardFileError::Io {
            path: path.clone(),
            source,
        };
        let length = self.file.metadata().map_err(error)?.len();
        if length > MAX_BYTES || length < self.read {
            return Err(GuardFileError::Corrupt {
                path: self.path.clone(),
                line: self.lines + 1,
            });
        }
        self.file.seek(SeekFrom::Start(self.read)).map_err(error)?;
        let mut text = Vec::new();
        (&self.file)
            .take(MAX_BYTES)
            .read_to_end(&mut text)
            .map_err(error)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.lines += 1;
            let record: Record =
                serde_json::from_slice(line).map_err(|_| GuardFileError::Corrupt {
                    path: path.clone(),
                    line: self.lines,
                })?;
            self.records.insert(PinTag(record.tag), record);
        }
        self.read += whole as u64;
        Ok(whole < text.len())
    }

    /// Puts a file with the last record of each tag in the place of this one.
    fn compact(&mut self) -> Result<(), GuardFileError> {
        let path = self.path.clone();
        let error = |source| GuardFileError::Io {
            path: path.clone(),
            source,
        };
        let new_path = self.path.with_extension("jsonl.new");
        let _ = std::fs::remove_file(&new_path);
        let mut new = open_file(&new_path).map_err(error)?;
        rustix::fs::flock(&new, FlockOperation::LockExclusive).map_err(|why| error(why.into()))?;
        // Whoever compacts it, it stays the daemon's user's.
        let owner = self.file.metadata().map_err(error)?;
        std::os::unix::fs::fchown(&new, Some(owner.uid()), Some(owner.gid())).map_err(error)?;
        self.records.retain(|_, record| record.standing.is_some());
        let mut text = String::new();
        for record in self.records.values() {
            text.push_str(&serde_json::to_string(record).expect("a record is plain data"));
            text.push('\n');
        }
        new.write_all(text.as_bytes())
            .and_then(|()| new.sync_all())
            .map_err(error)?;
        std::fs::rename(&new_path, &self.path).map_err(error)?;
        if let Some(folder) = self.path.parent() {
            sync_folder(folder).map_err(error)?;
        }
        self.file = new;
        self.read = text.len() as u64;
        self.lines = self.records.len();
        Ok(())
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// A file's name is on disk only when its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// 32 bytes as 64 hexadecimal digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(tag: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write;
        let mut text = String::with_capacity(64);
        for byte in tag {
            let _ = write!(text, "{byte:02x}");
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut tag = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(D::Error::custom("64 hexadecimal digits are expected"));
        }
        for (byte, digits) in tag.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        Ok(tag)
    }
}

#[cfg(test)]
mod tests;
