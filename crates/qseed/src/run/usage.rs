//! What each source was asked for: the bytes of its present month, for its budget, and the times
//! of its last requests, for its rate limit.
//!
//! Kept in `usage.json` in the state directory, so that neither begins again with a restart. All
//! processes that share the directory add to it, each under a lock.
//!
//! Bytes are counted before the request leaves, and taken back when they do not come: what a crash
//! hid counts as delivered. Months begin at midnight UTC. A clock that was set to another month,
//! and is set right again, finds what its month had delivered.

mod file;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use qseed_config::{Budget, Rate};
use tokio::sync::oneshot;

use file::{Change, File, Requests};

/// A request that is about to leave.
#[derive(Debug)]
pub(super) struct Question<'s> {
    pub(super) source: &'s str,
    pub(super) budget: Option<Budget>,
    pub(super) rate_limit: Option<Rate>,
    pub(super) now: Timestamp,
    pub(super) bytes: u64,
    /// HTTP requests that it may take.
    pub(super) requests: u32,
}

/// A question, as it is counted until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    month: Option<Date>,
    bytes: u64,
    requests: Option<Requests>,
}

/// A question that leaves when it is counted in the file, if the budget allows it.
#[derive(Debug)]
struct Waits {
    source: String,
    limit: u64,
    asked: Asked,
    may_leave: oneshot::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// The file, as it was last read or written.
    known: File,
    /// Changes that are being written.
    writing: Change,
    /// Changes that came since.
    unwritten: Change,
    questions: Vec<Waits>,
    /// The question to each source that is not answered yet.
    asked: BTreeMap<String, Asked>,
}

/// What all sources were asked for. The daemon and the thread that writes share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage(Arc<Mutex<State>>);

impl Usage {
    /// Reads what other processes left.
    ///
    /// # Errors
    /// Why it cannot be read, which counts as nothing asked for.
    pub(super) fn read(state_dir: &Path) -> (Self, Result<(), String>) {
        let (known, result) = match file::read(state_dir) {
            Ok(known) => (known, Ok(())),
            Err(why) => (File::default(), Err(why)),
        };
        let usage = Self::default();
        usage.state().known = known;
        (usage, result)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that a source delivered in the month that `now` belongs to, without what it is
    /// being asked for.
    pub(super) fn spent(&self, source: &str, resets_on: u8, now: Timestamp) -> u64 {
        let month = month_of(now, resets_on);
        let state = self.state();
        let changes = state.writing.bytes(source, month) + state.unwritten.bytes(source, month);
        let asked = state.asked.get(source);
        let asked = asked.filter(|asked| asked.month == Some(month));
        let asked = asked.map_or(0, |asked| asked.bytes);
        let bytes = state.known.bytes(source, month);
        bytes.saturating_add_signed(changes).saturating_sub(asked)
    }

    /// The time since each request to a source that the file still has.
    pub(super) fn requests(&self, source: &str, now: Timestamp) -> Vec<Duration> {
        self.state().known.requests(source, now)
    }

    /// Counts a question before it leaves. Where the source has a budget, the receiver learns
    /// whether that allows it; other processes may have spent it.
    pub(super) fn ask(&self, question: &Question<'_>) -> Option<oneshot::Receiver<bool>> {
        let Question {
            source,
            budget,
            rate_limit,
            now,
            bytes,
            requests,
        } = *question;
        let asked = Asked {
            month: budget.map(|budget| month_of(now, budget.resets_on)),
            bytes,
            requests: rate_limit.map(|limit| Requests::new(now, requests, limit.per)),
        };
        let state = &mut *self.state();
        state.asked.insert(source.to_owned(), asked);
        state.unwritten.ask(source, asked);
        let limit = budget?.bytes;
        let (may_leave, answer) = oneshot::channel();
        state.questions.retain(|it| !it.may_leave.is_closed());
        state.questions.push(Waits {
            source: source.to_owned(),
            limit,
            asked,
            may_leave,
        });
        Some(answer)
    }

    /// Counts what became of the question to a source: how many bytes it brought (`None`: as many
    /// as it was asked for) and how many requests it took.
    pub(super) fn answered(&self, source: &str, now: Timestamp, bytes: Option<u64>, requests: u32) {
        let state = &mut *self.state();
        let Some(asked) = state.asked.remove(source) else {
            return;
        };
        let missing = bytes.map_or(0, |bytes| asked.bytes.saturating_sub(bytes));
        state.unwritten.take_back(source, asked, missing);
        if let Some(before) = asked.requests {
            let sent = Requests::new(now, requests, before.window());
            state.unwritten.add_requests(source, sent);
        }
    }

    /// Lets the question to a source count as answered in full: nobody waits for the answer.
    pub(super) fn give_up(&self, source: &str) {
        self.state().asked.remove(source);
    }

    /// Adds what changed to the file, unless nothing did.
    ///
    /// # Errors
    /// Why it cannot be written. It is then part of the next writing, and questions leave.
    pub(super) fn write(&self, state_dir: &Path) -> Result<(), String> {
        let (questions, last_known) = {
            let state = &mut *self.state();
            if state.unwritten.is_empty() {
                return Ok(());
            }
            state.writing = std::mem::take(&mut state.unwritten);
            (std::mem::take(&mut state.questions), state.known.clone())
        };
        let mut refused = Vec::new();
        let result = file::change(state_dir, last_known, |file| {
            let state = &mut *self.state();
            for (number, question) in questions.iter().enumerate() {
                if !question.may_leave.is_closed() && is_over(file, &state.writing, question) {
                    let Waits { source, asked, .. } = question;
                    state.writing.take_back(source, *asked, asked.bytes);
                    state.asked.remove(source);
                    refused.push(number);
                }
            }
            file.apply(&state.writing);
        });
        let state = &mut *self.state();
        let writing = std::mem::take(&mut state.writing);
        let result = match result {
            Ok((known, damaged)) => {
                state.known = known;
                damaged.map_or(Ok(()), Err)
            }
            Err(why) => {
                let later = std::mem::replace(&mut state.unwritten, writing);
                state.unwritten.merge(later);
                Err(why)
            }
        };
        for (number, question) in questions.into_iter().enumerate() {
            // Nobody hears it where the request did not wait for the disk.
            let _ = question.may_leave.send(!refused.contains(&number));
        }
        result
    }
}

/// Whether a question would exceed its budget, which other processes spend as well.
fn is_over(file: &File, writing: &Change, question: &Waits) -> bool {
    let Waits { source, limit, .. } = question;
    question.asked.month.is_some_and(|month| {
        let changes = writing.bytes(source, month);
        file.bytes(source, month).saturating_add_signed(changes) > *limit
    })
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
