//! What the engine knows of one worker process and the calls it has in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::backoff::{Backoff, CEILING};
use crate::ids::{JobId, PartitionId, WorkerId};
use crate::partition::SLOW;
use crate::time::Moment;

/// A worker that is asked to end is killed after this time; one that was killed and is still there
/// after it hangs in the kernel.
pub(crate) const END_WITHIN: Duration = Duration::from_secs(10);
/// A worker that stayed up this long counts as recovered.
pub(crate) const RECOVERED_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug)]
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
    /// When the call counts as hung; none while it waits for us.
    pub(crate) deadline: Option<Moment>,
    /// Whether it is on a partition that may be slow or in trouble.
    pub(crate) doubtful: bool,
    /// The seed that it injects; none: it opens a session.
    pub(crate) job: Option<JobId>,
    /// PINs that the worker has asked about for it.
    pub(crate) pins_asked: u8,
    /// Whether its partition may have taken the worker down before.
    pub(crate) suspect: bool,
}

impl Call {
    pub(crate) fn opens(&self) -> bool {
        self.job.is_none()
    }
}

/// Two queues of partitions, so that slow ones do not wait before the others.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) sound: VecDeque<PartitionId>,
    pub(crate) doubtful: VecDeque<PartitionId>,
}

impl Lines {
    pub(crate) fn line(&mut self, doubtful: bool) -> &mut VecDeque<PartitionId> {
        if doubtful {
            &mut self.doubtful
        } else {
            &mut self.sound
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sound.is_empty() && self.doubtful.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.sound.len() + self.doubtful.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = PartitionId> {
        self.sound.iter().chain(&self.doubtful).copied()
    }

    pub(crate) fn clear(&mut self) {
        self.sound.clear();
        self.doubtful.clear();
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
    pub(crate) to_open: Lines,
    /// Partitions that are due.
    pub(crate) ready: Lines,
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
    /// Its last successful injection.
    pub(crate) last_seed: Option<Moment>,
    /// The last time that a call did what it was to do.
    pub(crate) last_success: Option<Moment>,
    /// Its last call opened a session, so that where there is one place, seeds and openings take
    /// turns.
    pub(crate) opened_last: bool,
    /// It is to start at once after it has ended.
    pub(crate) restart_at_once: bool,
    /// Where there is one place: until then it is theirs who are quick, if they want it.
    pub(crate) quick_ones_until: Moment,
}

impl Worker {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            life: WorkerId(0),
            state: WorkerState::Down,
            members: BTreeSet::new(),
            calls: BTreeMap::new(),
            to_open: Lines::default(),
            ready: Lines::default(),
            backoff: Backoff::default(),
            failing_since: None,
            restarts: 0,
            checked_tokens: now,
            hung: false,
            failure: None,
            last_seed: None,
            last_success: None,
            opened_last: false,
            restart_at_once: false,
            quick_ones_until: now,
        }
    }

    /// The line of partitions that wait to be opened, or for a seed.
    pub(crate) fn line(&mut self, doubtful: bool, opens: bool) -> &mut VecDeque<PartitionId> {
        let lines = if opens {
            &mut self.to_open
        } else {
            &mut self.ready
        };
        lines.line(doubtful)
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, WorkerState::Up { .. })
    }

    /// Whether `call` may be made beside those in flight, of which there are at most `places`.
    ///
    /// A partition in trouble delays no other: a call on a dead token can last as long as the
    /// deadline, so doubtful calls have a quarter of the places, or of the time of the only place,
    /// and more only while nobody else waits. Opening leaves a quarter to seeds, and where `opens_first` is set, seeds leave a
    /// quarter to opening. Suspects are called one at a time.
    pub(crate) fn has_place(&self, places: u16, call: Call, opens_first: bool) -> bool {
        let places = usize::from(places.max(1));
        let quarter = (places / 4).max(1);
        let most_of_them = places.saturating_sub(quarter).max(1);
        let in_flight =
            |which: fn(&Call) -> bool| self.calls.values().filter(|call| which(call)).count();
        if self.calls.len() >= places || (call.suspect && in_flight(|other| other.suspect) > 0) {
            return false;
        }
        if call.doubtful {
            let others_wait = !self.to_open.sound.is_empty() || !self.ready.sound.is_empty();
            let limit = match (others_wait, places) {
                (false, _) => most_of_them,
                (true, 1) if call.began < self.quick_ones_until => 0,
                (true, _) => quarter,
            };
            if in_flight(|other| other.doubtful) >= limit {
                return false;
            }
        }
        if call.opens() {
            places == 1 || in_flight(Call::opens) < most_of_them
        } else if opens_first && !self.to_open.is_empty() {
            if places == 1 {
                self.opened_last
            } else {
                in_flight(|other| !other.opens()) < most_of_them
            }
        } else {
            true
        }
    }

    /// Whether partitions in good order are being opened.
    pub(crate) fn is_opening(&self) -> bool {
        let sound = |call: &Call| call.opens() && !call.doubtful;
        self.is_up() && (!self.to_open.sound.is_empty() || self.calls.values().any(sound))
    }

    /// A call ended that took this long.
    pub(crate) fn took(&mut self, now: Moment, time: Duration) {
        if time > SLOW {
            self.quick_ones_until = now + (3 * time).min(CEILING);
        }
    }

    /// The first moment at which a call in flight counts as hung.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.calls.values().filter_map(|call| call.deadline).min()
    }
}
