//! What is said, and what is not said a thousand times.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Engine;
use crate::action::Note;
use crate::ids::PartitionId;
use crate::timers::Timer;
use crate::view::PartitionState;

/// Faults of partitions, and recoveries, that are said one by one in a window; more are counted.
const SAID_A_WINDOW: usize = 50;
const WINDOW: Duration = Duration::from_secs(10);
const SUMMARY_EVERY: Duration = Duration::from_secs(60);

/// Counts what is summed up.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    said_in_window: usize,
    faults_unsaid: usize,
    recoveries_unsaid: usize,
    pub(super) summaries: bool,
    seeds: u64,
    bytes: u64,
    seeded: BTreeSet<PartitionId>,
}

impl Engine {
    /// Says a fault of a partition, unless too many were said in the last seconds.
    pub(super) fn note_fault(&mut self, note: Note) {
        if self.may_say_one_more() {
            self.note(note);
        } else {
            self.announcer.faults_unsaid += 1;
        }
    }

    /// Says that a partition recovered, unless too much was said in the last seconds.
    pub(super) fn note_recovery(&mut self, note: Note) {
        if self.may_say_one_more() {
            self.note(note);
        } else {
            self.announcer.recoveries_unsaid += 1;
        }
    }

    fn may_say_one_more(&mut self) -> bool {
        if self.timers.get(Timer::Notes).is_none() {
            self.timers.set(Timer::Notes, Some(self.now + WINDOW));
        }
        let may = self.announcer.said_in_window < SAID_A_WINDOW;
        self.announcer.said_in_window += usize::from(may);
        may
    }

    pub(super) fn notes_due(&mut self) {
        self.announcer.said_in_window = 0;
        let count = std::mem::take(&mut self.announcer.faults_unsaid);
        if count > 0 {
            self.note(Note::MorePartitionsFailed { count });
        }
        let count = std::mem::take(&mut self.announcer.recoveries_unsaid);
        if count > 0 {
            self.note(Note::MorePartitionsRecovered { count });
        }
    }

    /// Counts an injection for the minute's summary.
    pub(super) fn count_seed(&mut self, partition: PartitionId, bytes: usize) {
        if !self.announcer.summaries {
            return;
        }
        if self.announcer.seeds == 0 {
            self.timers
                .set(Timer::Summary, Some(self.now + SUMMARY_EVERY));
        }
        self.announcer.seeds += 1;
        self.announcer.bytes += bytes as u64;
        self.announcer.seeded.insert(partition);
    }

    /// Says what has been counted and not said.
    pub(super) fn sum_up(&mut self) {
        self.notes_due();
        if self.announcer.seeds > 0 {
            self.timers.set(Timer::Summary, None);
            self.summary_due();
        }
    }

    pub(super) fn summary_due(&mut self) {
        let well = |state| matches!(state, PartitionState::Starting | PartitionState::Seeded);
        let troubled = self.partitions().filter(|p| !well(p.state)).count();
        let summary = Note::Summary {
            seeds: std::mem::take(&mut self.announcer.seeds),
            bytes: std::mem::take(&mut self.announcer.bytes),
            partitions: std::mem::take(&mut self.announcer.seeded).len(),
            troubled,
        };
        self.note(summary);
    }
}
