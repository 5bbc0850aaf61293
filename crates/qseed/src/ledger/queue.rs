//! What waits for the ledger's thread.
//!
//! The daemon's loop adds and never waits. The queue is bounded by number and bytes; what does not
//! fit is counted.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use qseed_config::Rotate;
use qseed_engine::Intent;
use qseed_ledger::record::{Body, MAX_LINE};

/// The most records that wait.
const MOST: usize = 20_000;
/// The most bytes of them, about.
const MOST_BYTES: usize = 32 << 20;
/// The longest record, without what each line has. Nothing makes a longer one.
const LONGEST: usize = MAX_LINE - 256;

/// A record that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ticket: Ticket,
    /// When it happened.
    pub(super) time: Timestamp,
    pub(super) body: Body,
    /// The seeds that wait for it.
    pub(super) intents: Vec<Intent>,
    /// Those seeds were dropped, so it must not be written.
    pub(super) is_refused: bool,
    bytes: usize,
}

impl Entry {
    /// A record that the thread itself adds.
    pub(super) fn of_the_thread(body: Body) -> Self {
        Self {
            ticket: Ticket::default(),
            time: Timestamp::now(),
            body,
            intents: Vec::new(),
            is_refused: false,
            bytes: 0,
        }
    }
}

/// Counts the records that were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What happened and will not be recorded one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) records: u64,
    /// The seeds that they were about.
    pub(super) seeds: u64,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    lost: Option<Lost>,
    lost_in_all: u64,
    added: Ticket,
    recorded: Ticket,
    rotate: Rotate,
    /// Nothing more will be added.
    is_closed: bool,
    /// Since when something waits for the thread, or the thread for the disk.
    busy_since: Option<Instant>,
}

/// The queue, shared by the daemon's loop and the ledger's thread.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the thread took from the queue.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) entries: Vec<Entry>,
    /// What did not fit, after the entries.
    pub(super) lost: Option<Lost>,
    /// Nothing more will come.
    pub(super) is_last: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record. One that does not fit is counted instead, unless it must be kept.
    pub(super) fn add(
        &self,
        time: Timestamp,
        body: Body,
        intents: Vec<Intent>,
        must_be_kept: bool,
    ) -> Ticket {
        let bytes = length(&body);
        let mut state = self.state();
        let fits = state.entries.len() < MOST && state.bytes + bytes <= MOST_BYTES;
        if bytes > LONGEST || !(fits || must_be_kept) {
            let lost = state.lost.get_or_insert(Lost {
                records: 0,
                seeds: 0,
                since: time,
                until: time,
            });
            lost.records += 1;
            lost.until = time;
            if let Body::Seed(seed) = &body {
                lost.seeds += seed.0.outcomes().count() as u64;
            }
            state.lost_in_all += 1;
            self.changed.notify_one();
            return state.added;
        }
        state.busy_since.get_or_insert_with(Instant::now);
        state.added.0 += 1;
        state.bytes += bytes;
        let ticket = state.added;
        state.entries.push_back(Entry {
            ticket,
            time,
            body,
            intents,
            is_refused: false,
            bytes,
        });
        self.changed.notify_one();
        ticket
    }

    /// Waits for records, for the end, or until then; takes records of about so many bytes.
    pub(super) fn take(&self, until: Instant, most: usize) -> Taken {
        let mut state = self.state();
        while state.entries.is_empty() && state.lost.is_none() && !state.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut taken = Taken::default();
        let mut bytes = 0;
        while bytes < most
            && let Some(entry) = state.entries.pop_front()
        {
            bytes += entry.bytes;
            taken.entries.push(entry);
        }
        state.bytes -= bytes;
        if state.entries.is_empty() {
            taken.lost = state.lost.take();
            taken.is_last = state.is_closed;
        }
        taken
    }

    /// Waits until then, or until nothing more will be added. Returns whether that is so.
    pub(super) fn wait(&self, until: Instant) -> bool {
        let mut state = self.state();
        while !state.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_closed
    }

    /// Takes out what seeds wait for, and returns them: they will not be recorded.
    pub(super) fn refuse_intents(&self) -> Vec<Intent> {
        let mut state = self.state();
        let entries = std::mem::take(&mut state.entries);
        let (others, waited_for): (VecDeque<_>, VecDeque<_>) = entries
            .into_iter()
            .partition(|entry| entry.intents.is_empty());
        state.bytes = others.iter().map(|entry| entry.bytes).sum();
        state.entries = others;
        waited_for.into_iter().flat_map(|it| it.intents).collect()
    }

    /// Nothing more will be added.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    /// The thread begins to work.
    pub(super) fn begin_work(&self) {
        self.state().busy_since.get_or_insert_with(Instant::now);
    }

    /// The thread has done what it began.
    pub(super) fn end_work(&self) {
        let mut state = self.state();
        state.busy_since = (!state.entries.is_empty()).then(Instant::now);
    }

    /// Since when something waits for the thread, or the thread for the disk.
    pub(super) fn busy_since(&self) -> Option<Instant> {
        self.state().busy_since
    }

    /// All records up to this one are on the disk.
    pub(super) fn set_recorded(&self, ticket: Ticket) {
        let mut state = self.state();
        state.recorded = state.recorded.max(ticket);
    }

    /// The records that were lost since the start.
    pub(super) fn lost_in_all(&self) -> u64 {
        self.state().lost_in_all
    }

    /// The records that were added and are not on the disk, without those that were lost before.
    pub(super) fn unrecorded(&self) -> u64 {
        let state = self.state();
        let lost = state.lost.map_or(0, |lost| lost.records);
        state.added.0 - state.recorded.0 + lost
    }

    /// When a file is rotated.
    pub(super) fn rotate(&self) -> Rotate {
        self.state().rotate
    }

    /// Takes on another rotation.
    pub(super) fn set_rotate(&self, rotate: Rotate) {
        self.state().rotate = rotate;
    }

    /// The last record that is on the disk, with all before it.
    pub(super) fn recorded(&self) -> Ticket {
        self.state().recorded
    }
}

/// The bytes that a record takes as a line, about.
fn length(body: &Body) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // The thread that writes it would report a failure.
    let _ = serde_json::to_writer(&mut count, body);
    count.0
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use jiff::Timestamp;
    use qseed_engine::{Intent, JobId, PartitionId};
    use qseed_ledger::record::{Body, State, Stopped};

    use super::{MOST, Queue};

    fn body(because: &str) -> Body {
        let because = because.to_owned();
        Body::Stopped(Stopped { because })
    }

    #[test]
    fn what_does_not_fit_is_counted_and_seeds_are_kept_if_they_must_be() {
        let queue = Queue::default();
        let time = Timestamp::UNIX_EPOCH;
        let add = |must| queue.add(time, body("x"), Vec::new(), must);
        let mut last = add(false);
        for _ in 1..MOST {
            last = add(false);
        }
        assert_eq!(queue.lost_in_all(), 0);
        for _ in 0..3 {
            assert_eq!(add(false), last, "none was added");
        }
        let kept = add(true);
        assert!(kept > last);
        let taken = queue.take(Instant::now(), usize::MAX);
        assert_eq!(taken.entries.len(), MOST + 1);
        assert_eq!(taken.entries.last().map(|it| it.ticket), Some(kept));
        assert_eq!(taken.lost.map(|lost| lost.records), Some(3));
        assert!(!taken.is_last);
        add(false);
        queue.close();
        let taken = queue.take(Instant::now(), usize::MAX);
        assert!(taken.is_last && taken.lost.is_none() && taken.entries.len() == 1);
    }

    #[test]
    fn a_record_that_is_too_long_for_a_line_is_counted() {
        let queue = Queue::default();
        let long = Body::State(State {
            partition: "p".repeat(70_000),
            state: String::new(),
            before: None,
        });
        queue.add(Timestamp::UNIX_EPOCH, long, Vec::new(), true);
        assert_eq!(queue.lost_in_all(), 1);
    }

    #[test]
    fn intents_are_taken_out_and_the_rest_stays() {
        let queue = Queue::default();
        let intent = |number| Intent {
            partition: PartitionId(number),
            job: JobId(number.into()),
        };
        let time = Timestamp::UNIX_EPOCH;
        queue.add(time, body("a"), vec![intent(1), intent(2)], true);
        queue.add(time, body("b"), Vec::new(), true);
        queue.add(time, body("c"), vec![intent(3)], true);
        assert_eq!(queue.refuse_intents(), [1, 2, 3].map(intent));
        let taken = queue.take(Instant::now(), usize::MAX);
        let bodies: Vec<_> = taken.entries.into_iter().map(|it| it.body).collect();
        assert_eq!(bodies, [body("b")]);
    }

    #[test]
    fn a_batch_is_bounded_and_the_disk_is_waited_for_as_long_as_something_waits() {
        let queue = Queue::default();
        assert_eq!(queue.busy_since(), None);
        for _ in 0..10 {
            queue.add(Timestamp::UNIX_EPOCH, body("x"), Vec::new(), false);
        }
        let since = queue.busy_since().expect("something waits");
        let taken = queue.take(Instant::now(), 100).entries.len();
        assert!((1..10).contains(&taken), "{taken}");
        queue.begin_work();
        assert_eq!(queue.busy_since(), Some(since), "it waits since then");
        queue.end_work();
        assert!(queue.busy_since().expect("more waits") > since);
        queue.take(Instant::now(), usize::MAX);
        queue.end_work();
        assert_eq!(queue.busy_since(), None);
    }
}
