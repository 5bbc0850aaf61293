//! What came of a run, in figures.

use std::time::Duration;

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) hash: u64,
    pub(crate) simulated: Duration,
    pub(crate) events: u64,
    pub(crate) seeds: u64,
    pub(crate) failed_seeds: u64,
    pub(crate) intents: u64,
    pub(crate) dropped_seeds: u64,
    pub(crate) fetches: u64,
    pub(crate) lies: u64,
    pub(crate) presentations: u64,
    pub(crate) refusals: u64,
    pub(crate) held_back: u64,
    pub(crate) checks: u64,
    pub(crate) workers: u64,
    pub(crate) quarantined: u64,
    pub(crate) daemons: u64,
    pub(crate) reconfigurations: u64,
    /// The latest that a seed came after its time, faults included.
    pub(crate) latest: Duration,
}

impl Summary {
    pub(crate) fn add(&mut self, other: &Self) {
        self.simulated += other.simulated;
        self.events += other.events;
        self.seeds += other.seeds;
        self.failed_seeds += other.failed_seeds;
        self.intents += other.intents;
        self.dropped_seeds += other.dropped_seeds;
        self.fetches += other.fetches;
        self.lies += other.lies;
        self.presentations += other.presentations;
        self.refusals += other.refusals;
        self.held_back += other.held_back;
        self.checks += other.checks;
        self.workers += other.workers;
        self.quarantined += other.quarantined;
        self.daemons += other.daemons;
        self.reconfigurations += other.reconfigurations;
        self.latest = self.latest.max(other.latest);
    }
}
