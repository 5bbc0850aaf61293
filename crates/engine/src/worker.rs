//! What the engine knows of one worker process and the calls it has in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::ids::{JobId, PartitionId, WorkerId};
use crate::partition::Waits;
use crate::time::Moment;

/// A worker that is asked to end is killed after this time; one that was killed and is still there
/// after it hangs in the kernel.
pub(crate) const END_WITHIN: Duration = Duration::from_secs(10);
/// A worker that stayed up this long counts as recovered.
pub(crate) const RECOVERED_AFTER: Duration = Duration::from_secs(60);
/// A call that runs longer delays others that wait for its place.
pub(crate) const SLOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) enum WorkerState {
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
pub(crate) enum Ending {
    Asked,
    Killed,
    Stuck,
}

/// A call in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// When the operation began.
    pub(crate) began: Moment,
    /// Since when it runs, or its worker said that it goes on; none while it waits for us.
    pub(crate) runs_since: Option<Moment>,
    /// How long it ran before that.
    pub(crate) ran: Duration,
    /// The seed that it injects; none: it opens a session.
    pub(crate) job: Option<JobId>,
    /// PINs that the worker has asked about for it.
    pub(crate) pins_asked: u8,
    /// Whether its partition may have taken the worker down before.
    pub(crate) suspect: bool,
}

impl Call {
    /// How long it has run, without the time that it waited for us.
    pub(crate) fn ran(&self, now: Moment) -> Duration {
        self.ran + self.runs_since.map_or(Duration::ZERO, |at| now.since(at))
    }

    pub(crate) fn opens(&self) -> bool {
        self.job.is_none()
    }
}

/// One worker process after the other, as long as there are partitions for it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) life: WorkerId,
    pub(crate) state: WorkerState,
    pub(crate) members: BTreeSet<PartitionId>,
    pub(crate) calls: BTreeMap<PartitionId, Call>,
    /// Partitions to be opened.
    pub(crate) to_open: VecDeque<PartitionId>,
    /// Partitions that are due.
    pub(crate) ready: VecDeque<PartitionId>,
    pub(crate) backoff: Backoff,
    /// Since when it has been ending that should not.
    pub(crate) failing_since: Option<Moment>,
    pub(crate) restarts: u64,
    /// The last time that qseed looked whether all its tokens are missing.
    pub(crate) checked_tokens: Moment,
    /// Why it went down while nobody asked it to.
    pub(crate) hung: bool,
    /// The text that the worker gave for failing to load its module.
    pub(crate) failure: Option<String>,
    /// The last time that a call did what it was to do.
    pub(crate) last_success: Option<Moment>,
    /// The last seed that did not take long.
    pub(crate) last_quick_seed: Option<Moment>,
    /// Its last call was a seed, so that an opening comes next.
    pub(crate) opens_next: bool,
    /// It is to start at once after it has ended.
    pub(crate) restart_at_once: bool,
}

impl Worker {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            life: WorkerId(0),
            state: WorkerState::Down,
            members: BTreeSet::new(),
            calls: BTreeMap::new(),
            to_open: VecDeque::new(),
            ready: VecDeque::new(),
            backoff: Backoff::default(),
            failing_since: None,
            restarts: 0,
            checked_tokens: now,
            hung: false,
            failure: None,
            last_success: None,
            last_quick_seed: None,
            opens_next: false,
            restart_at_once: false,
        }
    }

    /// The partitions that wait for a call.
    pub(crate) fn line(&mut self, waits: Waits) -> &mut VecDeque<PartitionId> {
        match waits {
            Waits::ToOpen => &mut self.to_open,
            Waits::ForSeed => &mut self.ready,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, WorkerState::Up { .. })
    }

    /// Whether one more call may be made beside those in flight.
    pub(crate) fn has_place(&self, concurrency: u16, suspect: bool) -> bool {
        let suspects = self.calls.values().any(|call| call.suspect);
        self.calls.len() < usize::from(concurrency.max(1)) && !(suspect && suspects)
    }

    /// Whether partitions are being opened.
    pub(crate) fn is_opening(&self) -> bool {
        self.is_up() && (!self.to_open.is_empty() || self.calls.values().any(Call::opens))
    }

    /// When the first of the calls in flight counts as hung.
    pub(crate) fn next_deadline(&self, deadline: Duration) -> Option<Moment> {
        let since = self.calls.values().filter_map(|call| call.runs_since).min();
        since.map(|since| since + deadline)
    }
}
