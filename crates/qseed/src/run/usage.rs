//! What each source was asked for: the bytes of its present month, for its budget, and the times
//! of its last requests, for its rate limit.
//!
//! `usage.jsonl` in the state directory keeps both, so that neither starts again with a restart. All
//! processes that share the directory append to it. Budgets are shared at every request; of the
//! requests of others, a process learns when it starts.
//!
//! A request is handed to the writing thread before it leaves, and corrected with the next one, or
//! at the end, so it costs one small write. With a budget it waits until it is synced. Without one
//! it does not wait: a kill within that moment can lose its time, and the times of requests need
//! not survive the host.
//!
//! The age of a request is the difference of two times since the host's start, so a step of the wall
//! clock forgets none. Months begin at midnight UTC. A clock that was set to another month, and is
//! set right again, finds what its month had delivered.

mod clock;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use qseed_config::{Budget, Rate};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub(super) use self::clock::Time;
use crate::state_dir::{Found, SharedFile, StateDir, StateDirError};

/// The file's name.
pub(crate) const NAME: &str = "usage.jsonl";
/// qseed writes no longer file, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// A file is rewritten when it is longer than this, in bytes, and than twice what it has to hold.
const COMPACT_ABOVE: u64 = 64 * 1024;
/// The months of a source that are remembered.
const MONTHS: usize = 4;
/// The most requests of a source that another process is believed to have sent.
const MOST_REQUESTS: usize = 10_000;
/// Changes that wait for the disk one by one. More of them are added up.
const UNWRITTEN: usize = 1000;

/// A request that is about to leave.
#[derive(Debug)]
pub(super) struct Question<'s> {
    pub(super) source: &'s str,
    pub(super) budget: Option<Budget>,
    pub(super) rate_limit: Option<Rate>,
    pub(super) now: Time,
    pub(super) bytes: u64,
    /// HTTP requests that it may take.
    pub(super) requests: u32,
}

/// Requests of one exchange. They count from its answer on, or, until it is answered, from its
/// question on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Requests {
    #[serde(flatten)]
    time: Time,
    count: u32,
    window_ms: u64,
}

impl Requests {
    /// The time since then. Where nobody knows, that is none at all.
    fn age(self, now: Time) -> Duration {
        now.since(self.time).unwrap_or(Duration::ZERO)
    }

    /// Whether the rate limit still counts them. Those of the future do not count: the clock was
    /// wrong.
    fn count_at(self, now: Time) -> bool {
        let age = now.since(self.time);
        age.is_some_and(|age| age < Duration::from_millis(self.window_ms))
    }
}

/// What changed for one source: a line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    source: String,
    /// Bytes more, or fewer, in the month that began on this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<(Date, i64)>,
    /// Requests that count no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    without: Option<Requests>,
    /// Requests that count from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests: Option<Requests>,
}

/// What all changes of one source add up to.
#[derive(Clone, Debug, Default)]
struct Total {
    /// Bytes of months. The one that changed last is the last one.
    months: Vec<(Date, i64)>,
    requests: Vec<Requests>,
}

/// What all changes add up to, by the sources' names.
#[derive(Clone, Debug, Default)]
struct Totals(BTreeMap<String, Total>);

impl Totals {
    fn bytes(&self, source: &str, month: Date) -> i64 {
        let months = self.0.get(source).into_iter().flat_map(|it| &it.months);
        let mut bytes = months.filter(|(began, _)| *began == month);
        bytes.next().map_or(0, |(_, bytes)| *bytes)
    }

    fn apply(&mut self, change: &Change) {
        let total = self.0.entry(change.source.clone()).or_default();
        if let Some((month, bytes)) = change.bytes {
            let known = total.months.iter().position(|(began, _)| *began == month);
            let before = known.map_or(0, |place| total.months.remove(place).1);
            let surplus = total.months.len().saturating_sub(MONTHS - 1);
            total.months.drain(..surplus);
            total.months.push((month, before.saturating_add(bytes)));
        }
        if let Some(without) = change.without {
            let place = total.requests.iter().position(|it| *it == without);
            place.map(|place| total.requests.remove(place));
        }
        if let Some(requests) = change.requests {
            total.requests.retain(|it| it.count_at(requests.time));
            total.requests.push(requests);
        }
    }

    /// Applies lines. Whether each of them could be read.
    fn read(&mut self, text: &[u8]) -> bool {
        let lines = text.split(|byte| *byte == b'\n');
        let mut good = true;
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice(line) {
                Ok(change) => self.apply(&change),
                Err(_) => good = false,
            }
        }
        good
    }

    /// The fewest changes that add up to this.
    fn changes(&self) -> impl Iterator<Item = Change> {
        self.0.iter().flat_map(|(source, total)| {
            let change = |bytes, requests| Change {
                source: source.clone(),
                bytes,
                without: None,
                requests,
            };
            let months = total.months.iter().map(move |it| change(Some(*it), None));
            let requests = total.requests.iter();
            months.chain(requests.map(move |it| change(None, Some(*it))))
        })
    }
}

fn lines<'c>(changes: impl IntoIterator<Item = &'c Change>) -> String {
    let mut text = String::new();
    for change in changes {
        text.push_str(&serde_json::to_string(change).expect("names, dates and numbers"));
        text.push('\n');
    }
    text
}

/// A question that leaves when it is recorded, if the budget allows it.
#[derive(Debug)]
struct Waiting {
    limit: u64,
    may_leave: oneshot::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// What the file says, with what is not written yet.
    known: Totals,
    unwritten: Vec<(Change, Option<Waiting>)>,
    /// The question to each source that is not answered yet.
    asked: BTreeMap<String, Change>,
}

impl State {
    fn add(&mut self, change: Change, waiting: Option<Waiting>) {
        self.known.apply(&change);
        if self.unwritten.len() >= UNWRITTEN {
            // The disk hangs or fails.
            let mut sum = Totals::default();
            for (change, _) in self.unwritten.drain(..) {
                sum.apply(&change);
            }
            self.unwritten = sum.changes().map(|change| (change, None)).collect();
        }
        self.unwritten.push((change, waiting));
    }
}

/// What all sources were asked for. The daemon and the thread that writes share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage(Arc<Mutex<State>>);

impl Usage {
    /// Reads what other processes left, if there is a state directory.
    ///
    /// # Errors
    /// Why it cannot be read, or only in part.
    pub(super) fn read(dir: Option<&StateDir>) -> (Self, Result<(), String>) {
        let usage = Self::default();
        let text = dir.map_or(Ok(None), |dir| dir.read(NAME, MAX_BYTES));
        let result = match text.map(Option::unwrap_or_default) {
            Ok(text) if usage.state().known.read(&text) => Ok(()),
            Ok(_) => Err(damaged(dir.map_or(Path::new(""), StateDir::path))),
            Err(why) => Err(why.to_string()),
        };
        (usage, result)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that a source delivered in the month that `now` belongs to, without those that it
    /// is being asked for.
    pub(super) fn spent(&self, source: &str, resets_on: u8, now: Timestamp) -> u64 {
        let month = month_of(now, resets_on);
        let state = self.state();
        let asked = state.asked.get(source).and_then(|asked| asked.bytes);
        let asked = asked.filter(|(began, _)| *began == month);
        let asked = asked.map_or(0, |(_, bytes)| bytes);
        let bytes = state.known.bytes(source, month).saturating_sub(asked);
        u64::try_from(bytes).unwrap_or(0)
    }

    /// The time since each request to a source that is still known.
    pub(super) fn requests(&self, source: &str, now: impl Into<Time>) -> Vec<Duration> {
        let now = now.into();
        let state = self.state();
        let requests = state.known.0.get(source).into_iter();
        let requests = requests.flat_map(|total| &total.requests);
        requests
            .flat_map(|it| std::iter::repeat_n(it.age(now), it.count as usize))
            .take(MOST_REQUESTS)
            .collect()
    }

    /// Hands a question to the writing thread before it leaves. If the source has a budget, the
    /// receiver learns whether that allows the question: other processes may have spent it.
    pub(super) fn ask(&self, question: &Question<'_>) -> Option<oneshot::Receiver<bool>> {
        let Question { now, budget, .. } = *question;
        let change = Change {
            source: question.source.to_owned(),
            bytes: budget.map(|it| (month_of(now.at, it.resets_on), signed(question.bytes))),
            without: None,
            requests: question.rate_limit.map(|limit| Requests {
                time: now,
                count: question.requests,
                window_ms: u64::try_from(limit.per.as_millis()).unwrap_or(u64::MAX),
            }),
        };
        let (may_leave, answer) = oneshot::channel();
        let waiting = budget.map(|budget| Waiting {
            limit: budget.bytes,
            may_leave,
        });
        let mut state = self.state();
        state.asked.insert(change.source.clone(), change.clone());
        state.add(change, waiting);
        budget.map(|_| answer)
    }

    /// Corrects the question to a source: how many bytes it brought (`None`: all that it asked for)
    /// and how many requests it took.
    pub(super) fn answered(
        &self,
        source: &str,
        now: impl Into<Time>,
        bytes: Option<u64>,
        count: u32,
    ) {
        let mut state = self.state();
        let now = now.into();
        let Some(asked) = state.asked.remove(source) else {
            return;
        };
        let missing =
            |asked: i64| bytes.map_or(0, |bytes| signed(bytes).saturating_sub(asked).min(0));
        let at_last = |it| Requests {
            time: now,
            count,
            ..it
        };
        let change = Change {
            bytes: asked.bytes.map(|(month, asked)| (month, missing(asked))),
            without: asked.requests,
            requests: asked.requests.map(at_last),
            ..asked
        };
        state.add(change, None);
    }

    /// Leaves the question to a source as it is: nobody waits for the answer.
    pub(super) fn give_up(&self, source: &str) {
        self.state().asked.remove(source);
    }
}

/// The file, as the thread that writes has it.
#[derive(Debug)]
pub(super) struct UsageFile {
    usage: Usage,
    state_dir: PathBuf,
    file: Option<SharedFile>,
    /// What the file says.
    totals: Totals,
    /// The length that is worth a rewrite.
    compact_above: u64,
}

impl UsageFile {
    pub(super) fn new(usage: Usage, state_dir: &Path) -> Self {
        Self {
            usage,
            state_dir: state_dir.to_owned(),
            file: None,
            totals: Totals::default(),
            compact_above: COMPACT_ABOVE,
        }
    }

    /// Appends what changed.
    ///
    /// # Errors
    /// Why it cannot be written, or that the file was damaged. What was not written is part of the
    /// next writing, and questions leave.
    pub(super) fn write(&mut self) -> Result<(), String> {
        let changes = std::mem::take(&mut self.usage.state().unwritten);
        if changes.is_empty() {
            return Ok(());
        }
        let result = self.append(&changes);
        let state = &mut *self.usage.state();
        let (allowed, result) = match result {
            Ok((allowed, was_damaged)) => {
                state.known = self.totals.clone();
                for (change, _) in &state.unwritten {
                    state.known.apply(change);
                }
                let damaged = was_damaged.then(|| damaged(&self.state_dir));
                (allowed, damaged.map_or(Ok(()), Err))
            }
            Err(why) => {
                let later = std::mem::take(&mut state.unwritten);
                let all = changes.iter().map(|(change, _)| (change.clone(), None));
                state.unwritten = all.chain(later).collect();
                (vec![true; changes.len()], Err(why.to_string()))
            }
        };
        for ((change, waiting), allowed) in changes.into_iter().zip(allowed) {
            if !allowed {
                state.asked.remove(&change.source);
            }
            // Nobody listens if the request did not wait for the disk.
            waiting.map(|it| it.may_leave.send(allowed));
        }
        result
    }

    /// Appends changes, but for questions that would exceed their budget. Which were appended, and
    /// whether the file was damaged.
    fn append(
        &mut self,
        changes: &[(Change, Option<Waiting>)],
    ) -> Result<(Vec<bool>, bool), StateDirError> {
        // After an error, the next writing opens it again.
        let mut file = if let Some(file) = self.file.take() {
            file
        } else {
            let dir = StateDir::create(&self.state_dir)?;
            SharedFile::open(dir, NAME, MAX_BYTES)?
        };
        let found = file.lock()?;
        let appended = self.append_locked(&mut file, found, changes)?;
        file.unlock();
        self.file = Some(file);
        Ok(appended)
    }

    fn append_locked(
        &mut self,
        file: &mut SharedFile,
        found: Found,
        changes: &[(Change, Option<Waiting>)],
    ) -> Result<(Vec<bool>, bool), StateDirError> {
        let was_damaged = self.take_in(found);
        let mut totals = self.totals.clone();
        let mut appended = Vec::new();
        let allowed = changes.iter().map(|(change, waiting)| {
            let allowed = !is_over_budget(&totals, change, waiting.as_ref());
            if allowed {
                totals.apply(change);
                appended.push(change);
            }
            allowed
        });
        let allowed = allowed.collect();
        let text = lines(appended.iter().copied());
        if was_damaged || file.known() + text.len() as u64 > self.compact_above {
            let all: Vec<_> = totals.changes().collect();
            let text = lines(&all);
            file.replace(&text)?;
            self.compact_above = COMPACT_ABOVE.max(2 * text.len() as u64);
        } else {
            let of_budget = appended.iter().any(|change| change.bytes.is_some());
            file.append(&text, of_budget)?;
        }
        self.totals = totals;
        Ok((allowed, was_damaged))
    }

    /// Takes in what others wrote. Whether something was lost: then qseed goes on from what it
    /// knows, if it knows anything.
    fn take_in(&mut self, found: Found) -> bool {
        let text = match found {
            Found::Appended(text) => return !self.totals.read(&text),
            Found::Replaced(text) => text,
        };
        let known = std::mem::take(&mut self.totals);
        let is_readable = self.totals.read(&text);
        let is_lost = text.is_empty() && !known.0.is_empty();
        if (is_lost || !is_readable) && !known.0.is_empty() {
            self.totals = known;
        }
        is_lost || !is_readable
    }
}

/// Whether a question that waits would exceed its budget, which other processes spend as well.
fn is_over_budget(totals: &Totals, change: &Change, waiting: Option<&Waiting>) -> bool {
    let waiting = waiting.filter(|it| !it.may_leave.is_closed());
    waiting
        .zip(change.bytes)
        .is_some_and(|(waiting, (month, bytes))| {
            totals.bytes(&change.source, month).saturating_add(bytes) > signed(waiting.limit)
        })
}

fn damaged(state_dir: &Path) -> String {
    let file = state_dir.join(NAME);
    format!(
        "{} was damaged or removed, so qseed counts on from what it knows",
        file.display()
    )
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The day on which the month began that `now` belongs to.
fn month_of(now: Timestamp, resets_on: u8) -> Date {
    let today = TimeZone::UTC.to_datetime(now).date();
    let day = i8::try_from(resets_on).unwrap_or(1).clamp(1, 28);
    let this = Date::new(today.year(), today.month(), day).unwrap_or(today.first_of_month());
    if this <= today {
        return this;
    }
    this.checked_sub(jiff::Span::new().months(1))
        .unwrap_or(this)
}

#[cfg(test)]
mod tests;
