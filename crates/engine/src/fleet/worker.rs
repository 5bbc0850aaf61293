//! What the engine knows of one worker process and the calls it has in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::partition::Waits;
use crate::backoff::Backoff;
use crate::ids::{JobId, PartitionId, WorkerId};
use crate::time::Moment;

/// A worker that is asked to end is killed after this time; one that was killed and is still there
/// after it hangs in the kernel.
pub(super) const END_WITHIN: Duration = Duration::from_secs(10);
/// A worker that stayed up this long counts as recovered.
pub(super) const RECOVERED_AFTER: Duration = Duration::from_secs(60);
/// A call that runs longer delays others that wait for its slot.
pub(super) const SLOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(super) enum WorkerState {
    /// Not running; its timer says when it is started.
    Down,
    /// Loading its module, until the deadline.
    Starting { deadline: Moment },
    /// Taking calls.
    Up { since: Moment },
    /// To end by then: first it is asked, then killed, and after that it is stuck.
    Ending { by: Moment, step: Ending },
}

/// How far the end of a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Asked,
    Killed,
    Stuck,
}

/// A call in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) began: Moment,
    /// Since when it runs, or its worker said that it goes on; none while it waits.
    pub(super) runs_since: Option<Moment>,
    /// How long it ran before that.
    pub(super) ran: Duration,
    /// The seed that it injects; none: it opens a session.
    pub(super) job: Option<JobId>,
    /// PINs that the worker has asked about for it.
    pub(super) pins_asked: u8,
    /// Whether its partition may have taken the worker down before.
    pub(super) suspect: bool,
}

impl Call {
    /// How long it has run, without the time that it waited.
    pub(super) fn ran(&self, now: Moment) -> Duration {
        self.ran + self.runs_since.map_or(Duration::ZERO, |at| now.since(at))
    }

    pub(super) fn opens(&self) -> bool {
        self.job.is_none()
    }
}

/// One worker process after the other, as long as there are partitions for it.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its present process, or the last one.
    pub(super) process: WorkerId,
    pub(super) starts: u64,
    pub(super) state: WorkerState,
    pub(super) members: BTreeSet<PartitionId>,
    pub(super) calls: BTreeMap<PartitionId, Call>,
    /// Partitions to be opened.
    pub(super) to_open: VecDeque<PartitionId>,
    /// Partitions that are due.
    pub(super) ready: VecDeque<PartitionId>,
    /// Partitions whose seed the ledger has recorded.
    pub(super) recorded: VecDeque<PartitionId>,
    pub(super) backoff: Backoff,
    /// It ended although it should not have, and has not stayed up for long since then.
    pub(super) is_failing: bool,
    /// The last time that qseed checked whether all its tokens are missing.
    pub(super) checked_tokens: Moment,
    /// Why it could not load its module.
    pub(super) not_loaded: Option<String>,
    /// The last time that a call did what it was to do.
    pub(super) last_success: Option<Moment>,
    /// The last seed that did not take long.
    pub(super) last_quick_seed: Option<Moment>,
    /// Its last call was a seed, so that an opening comes next.
    pub(super) opens_next: bool,
    /// It is to start at once after it has ended.
    pub(super) restart_at_once: bool,
}

impl Worker {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            process: WorkerId(0),
            starts: 0,
            state: WorkerState::Down,
            members: BTreeSet::new(),
            calls: BTreeMap::new(),
            to_open: VecDeque::new(),
            ready: VecDeque::new(),
            recorded: VecDeque::new(),
            backoff: Backoff::default(),
            is_failing: false,
            checked_tokens: now,
            not_loaded: None,
            last_success: None,
            last_quick_seed: None,
            opens_next: false,
            restart_at_once: false,
        }
    }

    /// The partitions that wait for a call.
    pub(super) fn queue(&mut self, waits: Waits) -> &mut VecDeque<PartitionId> {
        match waits {
            Waits::ToOpen => &mut self.to_open,
            Waits::ForSeed => &mut self.ready,
            Waits::ForCall => &mut self.recorded,
        }
    }

    /// A partition waits no more.
    pub(super) fn leave_queue(&mut self, waited: Waits, id: PartitionId) {
        let queue = self.queue(waited);
        if let Some(at) = queue.iter().position(|waiting| *waiting == id) {
            queue.remove(at);
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, WorkerState::Up { .. })
    }

    /// Whether one more call can be made beside those in flight.
    pub(super) fn has_free_slot(&self, concurrency: u16, suspect: bool) -> bool {
        let suspects = self.calls.values().any(|call| call.suspect);
        self.calls.len() < usize::from(concurrency.max(1)) && !(suspect && suspects)
    }

    /// Whether partitions are being opened.
    pub(super) fn is_opening(&self) -> bool {
        self.is_up() && (!self.to_open.is_empty() || self.calls.values().any(Call::opens))
    }

    /// When the first of the calls in flight counts as hung.
    pub(super) fn next_deadline(&self, deadline: Duration) -> Option<Moment> {
        let since = self.calls.values().filter_map(|call| call.runs_since).min();
        since.map(|since| since + deadline)
    }
}
