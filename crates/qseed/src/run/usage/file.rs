//! `usage.json`, and changes to it.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::Asked;
use crate::state_dir::{Acting, StateDir, StateDirError};

pub(super) const NAME: &str = "usage.json";
/// A longer file is none of qseed's.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The months of a source that are remembered.
pub(super) const MONTHS: usize = 4;
/// The most requests of a source that are remembered, whatever its rate limit.
pub(super) const REQUESTS: usize = 1000;
/// How often, at intervals of 10 ms, the lock is tried: other processes hold it for one write.
const LOCK_ATTEMPTS: u32 = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Month {
    began: Date,
    bytes: u64,
}

/// Requests of one exchange. They count from their answer on, and until then from the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Requests {
    at: Timestamp,
    count: u32,
    window_ms: u64,
}

impl Requests {
    pub(super) fn new(at: Timestamp, count: u32, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self {
            at,
            count,
            window_ms,
        }
    }

    pub(super) fn window(self) -> Duration {
        Duration::from_millis(self.window_ms)
    }

    /// The time since then. A clock that was set back cannot tell, so that is none at all.
    fn age(self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.at)).unwrap_or(Duration::ZERO)
    }

    /// Whether the rate limit still counts them. None of the future: the clock was wrong.
    fn counts(self, now: Timestamp) -> bool {
        self.at <= now && self.age(now) < self.window()
    }
}

/// What one source was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct OfSource {
    /// The one that was changed last stands last.
    months: Vec<Month>,
    requests: Vec<Requests>,
}

/// What all sources were asked for, by the sources' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct File(BTreeMap<String, OfSource>);

impl File {
    pub(super) fn bytes(&self, source: &str, month: Date) -> u64 {
        let months = self.0.get(source).map(|of| &of.months);
        let mut months = months.into_iter().flatten();
        let month = months.find(|known| known.began == month);
        month.map_or(0, |month| month.bytes)
    }

    /// The time since each request.
    pub(super) fn requests(&self, source: &str, now: Timestamp) -> Vec<Duration> {
        let requests = self.0.get(source).map(|of| &of.requests);
        let requests = requests.into_iter().flatten();
        let ages = requests.flat_map(|it| {
            let count = (it.count as usize).min(REQUESTS);
            std::iter::repeat_n(it.age(now), count)
        });
        ages.take(REQUESTS).collect()
    }

    /// Applies a change.
    pub(super) fn apply(&mut self, change: &Change) {
        for ((source, began), bytes) in &change.bytes {
            let months = &mut self.0.entry(source.clone()).or_default().months;
            let before = months.iter().position(|month| month.began == *began);
            let before = before.map_or(0, |place| months.remove(place).bytes);
            months.drain(..months.len().saturating_sub(MONTHS - 1));
            months.push(Month {
                began: *began,
                bytes: before.saturating_add_signed(*bytes),
            });
        }
        for (source, requests) in &change.removed {
            let of = self.0.entry(source.clone()).or_default();
            remove(&mut of.requests, |it| it == requests);
        }
        for (source, requests) in &change.added {
            let known = &mut self.0.entry(source.clone()).or_default().requests;
            known.retain(|it| it.counts(requests.at));
            if requests.count > 0 {
                known.drain(..known.len().saturating_sub(REQUESTS - 1));
                known.push(*requests);
            }
        }
    }
}

/// Removes the first that matches; whether there was one.
fn remove<T>(from: &mut Vec<T>, matches: impl FnMut(&T) -> bool) -> bool {
    let place = from.iter().position(matches);
    place.map(|place| from.remove(place)).is_some()
}

/// Changes to the file.
#[derive(Debug, Default)]
pub(super) struct Change {
    bytes: BTreeMap<(String, Date), i64>,
    added: Vec<(String, Requests)>,
    removed: Vec<(String, Requests)>,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }

    pub(super) fn bytes(&self, source: &str, month: Date) -> i64 {
        let of = |((name, began), bytes): (&(String, Date), &i64)| {
            (name == source && *began == month).then_some(*bytes)
        };
        self.bytes.iter().find_map(of).unwrap_or(0)
    }

    fn add_bytes(&mut self, source: &str, month: Date, bytes: i64) {
        let sum = self.bytes.entry((source.to_owned(), month)).or_default();
        *sum = sum.saturating_add(bytes);
    }

    pub(super) fn add_requests(&mut self, source: &str, requests: Requests) {
        // A disk that hangs must not let them pile up.
        if self.added.len() >= REQUESTS {
            self.added.remove(0);
        }
        self.added.push((source.to_owned(), requests));
    }

    pub(super) fn ask(&mut self, source: &str, asked: Asked) {
        if let Some(month) = asked.month {
            self.add_bytes(source, month, signed(asked.bytes));
        }
        if let Some(requests) = asked.requests {
            self.add_requests(source, requests);
        }
    }

    /// Takes a question back, but for what it brought.
    pub(super) fn take_back(&mut self, source: &str, asked: Asked, missing: u64) {
        if let Some(month) = asked.month {
            self.add_bytes(source, month, signed(missing).saturating_neg());
        }
        if let Some(requests) = asked.requests {
            self.remove_requests(source, requests);
        }
    }

    fn remove_requests(&mut self, source: &str, requests: Requests) {
        let known = |(name, it): &(String, Requests)| name == source && *it == requests;
        if !remove(&mut self.added, known) && self.removed.len() < REQUESTS {
            self.removed.push((source.to_owned(), requests));
        }
    }

    /// Adds changes that came after these.
    pub(super) fn merge(&mut self, later: Self) {
        for ((source, month), bytes) in later.bytes {
            self.add_bytes(&source, month, bytes);
        }
        for (source, requests) in later.removed {
            self.remove_requests(&source, requests);
        }
        for (source, requests) in later.added {
            self.add_requests(&source, requests);
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Reads the file; none counts as an empty one.
pub(super) fn read(state_dir: &Path) -> Result<File, String> {
    let bytes = match StateDir::open(state_dir, Acting::ForItself) {
        Ok(dir) => dir.read(NAME, MAX_BYTES).map_err(|why| why.to_string())?,
        Err(why) if why.is_not_found() => None,
        Err(why) => return Err(why.to_string()),
    };
    bytes.map_or(Ok(File::default()), |bytes| {
        parse(&bytes).ok_or_else(|| damaged(state_dir))
    })
}

fn parse(bytes: &[u8]) -> Option<File> {
    serde_json::from_slice(bytes).ok()
}

fn damaged(state_dir: &Path) -> String {
    format!(
        "{} is damaged, so qseed counts on from what it knows",
        state_dir.join(NAME).display()
    )
}

/// Reads, changes and replaces the file, while no other process does. A damaged one counts as
/// `last_known`. Returns the new content, and what was wrong with the old one.
pub(super) fn change(
    state_dir: &Path,
    last_known: File,
    change: impl FnOnce(&mut File),
) -> Result<(File, Option<String>), String> {
    let write = || -> Result<_, StateDirError> {
        let dir = StateDir::create(state_dir)?;
        // Held until the new file has taken its place.
        let old = lock(&dir)?;
        let mut bytes = Vec::new();
        let read = (&old).take(MAX_BYTES).read_to_end(&mut bytes);
        read.map_err(|source| io_error(&dir, source))?;
        let parsed = parse(&bytes);
        let damaged = parsed.is_none().then(|| damaged(state_dir));
        let mut file = parsed.unwrap_or(last_known);
        change(&mut file);
        let text = serde_json::to_vec(&file).expect("names, dates and numbers");
        dir.replace(NAME, &text)?;
        Ok((file, damaged))
    };
    write().map_err(|why| why.to_string())
}

/// Locks the file, and makes it first where there is none.
fn lock(dir: &StateDir) -> Result<std::fs::File, StateDirError> {
    for _ in 0..LOCK_ATTEMPTS {
        let Some(file) = dir.open_file(NAME, true)? else {
            dir.make(NAME, b"{}")?;
            continue;
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_in_place(dir, &file)? => return Ok(file),
            // Another process replaced it meanwhile.
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
            Err(why) => return Err(io_error(dir, why.into())),
        }
    }
    let why = "another process has locked it for a second";
    Err(io_error(dir, std::io::Error::other(why)))
}

/// Whether the file's name still means this file.
fn is_in_place(dir: &StateDir, file: &std::fs::File) -> Result<bool, StateDirError> {
    let Some(named) = dir.open_file(NAME, false)? else {
        return Ok(false);
    };
    let id = |file: &std::fs::File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
    let same = id(file).and_then(|file| Ok(file == id(&named)?));
    same.map_err(|why| io_error(dir, why))
}

fn io_error(dir: &StateDir, source: std::io::Error) -> StateDirError {
    StateDirError::Io {
        path: dir.path().join(NAME),
        source,
    }
}
