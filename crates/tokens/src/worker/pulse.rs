//! Telling the daemon that an operation moves on, so that it can judge each call's time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::link::Link;
use crate::wire::FromWorker;

/// Calls that follow each other faster than this are told once: the daemon's deadlines are
/// seconds.
const INTERVAL: Duration = Duration::from_millis(100);

/// Marks where one operation's Cryptoki calls begin.
pub(super) struct Pulse<'a> {
    link: &'a Link,
    partition: Option<u32>,
    told: Cell<Instant>,
}

impl<'a> Pulse<'a> {
    /// The pulse of an operation that begins now, of a partition or of a listing.
    pub(super) fn new(link: &'a Link, partition: Option<u32>) -> Self {
        Self {
            link,
            partition,
            told: Cell::new(Instant::now()),
        }
    }

    /// An operation that waited goes on.
    pub(super) fn go_on(&self) {
        self.told.set(Instant::now());
        let partition = self.partition;
        self.link.send(&FromWorker::Progress { partition });
    }

    /// A call begins, or another thread's call that this operation waits for.
    pub(super) fn beat(&self) {
        if self.told.get().elapsed() >= INTERVAL {
            self.go_on();
        }
    }
}
