//! The record: what reached the module, a JSON object a line, in `record.jsonl`.
//!
//! Each line is one `write(2)` to a file opened for appending, so lines of several threads and
//! processes do not mix, and a line stays when its process is killed right behind it. The record
//! holds seeds and PINs in full: it is for tests.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use rustix::thread::gettid;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::{Action, Attempt, Ckr, Function, User, hex};

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub ns: u64,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A call has reached the module. Written for every `C_Login`, before anything else is
    /// done with it, and for every other call of interest that a fault or a latency holds up.
    Begun(Call),
    /// A call of interest is done and returns as soon as nothing more delays it.
    Ended(Call),
    /// A rule acts.
    Fault {
        /// The function that was called.
        function: Function,
        /// The call's number in its process.
        call: u64,
        /// What happens to it.
        action: Action,
    },
    /// A hostile library tried something.
    Tried {
        /// What.
        attempt: Attempt,
        /// Why it failed; none: it worked.
        error: Option<String>,
    },
    /// So many calls were in progress at once in this process, more than ever before.
    Concurrency {
        /// How many.
        calls: u32,
    },
    /// Two threads were in calls on one session at once, which PKCS#11 leaves to the
    /// application to prevent.
    SessionShared {
        /// The session.
        session: u64,
    },
    /// The steering file changed.
    Steered {
        /// Why it was left aside, if it was; the last good one then stays in force.
        error: Option<String>,
    },
}

/// A call of interest: `C_Initialize`, `C_Finalize`, everything that opens or closes sessions, logs
/// in or out, seeds, or changes a token or a PIN. [`crate::Faults::record_all`] makes every
/// call interesting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The function.
    pub function: Function,
    /// The call's number in its process, from 1: joins [`Event::Begun`] and [`Event::Ended`].
    pub call: u64,
    /// The slot that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// The number of the token that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u32>,
    /// The session that it is about or has opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// `C_Login`: who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// `C_Login`: the PIN, hexadecimal; absent for the PIN pad.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub pin: Option<Vec<u8>>,
    /// `C_SeedRandom`: the seed, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub seed: Option<Vec<u8>>,
    /// How the work went: whether the PIN was right, whether the seed was mixed in. Absent where
    /// it was not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Ckr>,
    /// The return value. Absent in [`Event::Begun`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Ckr>,
}

impl Call {
    /// A call with its function and number only.
    pub(crate) fn new(function: Function, call: u64) -> Self {
        Self {
            function,
            call,
            slot: None,
            token: None,
            session: None,
            user: None,
            pin: None,
            seed: None,
            done: None,
            result: None,
        }
    }

    /// Whether the token did what was asked: took the PIN, mixed the seed in.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.done == Some(Ckr::OK)
    }
}

impl Record {
    /// The call, where it is one that is done.
    #[must_use]
    pub fn ended(&self, function: Function) -> Option<&Call> {
        match &self.event {
            Event::Ended(call) if call.function == function => Some(call),
            _ => None,
        }
    }

    /// The call, where it is one that has begun.
    #[must_use]
    pub fn begun(&self, function: Function) -> Option<&Call> {
        match &self.event {
            Event::Begun(call) if call.function == function => Some(call),
            _ => None,
        }
    }
}

/// The end of the record at which this process writes.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
}

impl Recorder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: OpenOptions::new().append(true).create(true).open(path)?,
        })
    }

    /// Appends one line.
    pub(crate) fn write(&self, event: Event) -> io::Result<()> {
        let record = Record {
            ns: monotonic_ns(),
            pid: std::process::id(),
            tid: thread_id(),
            event,
        };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        (&self.file).write_all(&line)
    }
}

/// `CLOCK_MONOTONIC`, in nanoseconds: the clock of [`Record::ns`].
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither part is ever negative: the clock begins at the machine's start.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn thread_id() -> u32 {
    gettid().as_raw_nonzero().get().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::{Call, Event, Record};
    use crate::{Action, Ckr, Function, User};

    #[test]
    fn lines_are_read_back_as_written() {
        let mut login = Call::new(Function::Login, 7);
        login.user = Some(User(0x8000_0001));
        login.pin = Some(b"\xff0012".to_vec());
        login.result = Some(Ckr::PIN_INCORRECT);
        let fault = Event::Fault {
            function: Function::SeedRandom,
            call: 1,
            action: Action::Hang,
        };
        for event in [Event::Ended(login), fault, Event::Steered { error: None }] {
            let record = Record {
                ns: u64::MAX,
                pid: 1,
                tid: 2,
                event,
            };
            let line = serde_json::to_string(&record).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Record>(&line).expect("a record"),
                record
            );
        }
    }
}
