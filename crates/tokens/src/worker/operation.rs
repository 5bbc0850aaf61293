//! One operation: what a partition does for one command, or a listing of all slots.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qseed_entropy::Seed;
use qseed_model::pins::HeldBack;

use super::Worker;
use super::logins::Credential;
use super::module::Module;
use crate::wire::{FromWorker, Open};

/// Calls that follow each other faster than this are reported once: the daemon's deadlines are
/// seconds.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// What a partition does next.
pub(super) enum Command {
    Open(Open),
    Verdict {
        ask: u64,
        held_back: Option<HeldBack>,
    },
    /// The login at the token that this partition waited for has ended, well or not.
    LoginSettled,
    Seed {
        job: u64,
        seed: Seed,
    },
    Close,
}

/// An operation that runs. It tells the daemon when a call of the module begins, so that the daemon
/// can judge how long each call takes.
pub(super) struct Operation<'a> {
    pub(super) worker: &'a Arc<Worker>,
    /// `None` for a listing.
    partition: Option<u32>,
    reported: Cell<Instant>,
}

impl<'a> Operation<'a> {
    /// An operation that begins now.
    pub(super) fn new(worker: &'a Arc<Worker>, partition: Option<u32>) -> Self {
        Self {
            worker,
            partition,
            reported: Cell::new(Instant::now()),
        }
    }

    /// The module, for one call.
    pub(super) fn module(&self) -> &'a Module {
        self.call_begins();
        &self.worker.module
    }

    /// A call begins, or another thread's call that this operation waits for.
    pub(super) fn call_begins(&self) {
        if self.reported.get().elapsed() >= REPORT_INTERVAL {
            self.resumes();
        }
    }

    /// An operation that waited goes on.
    pub(super) fn resumes(&self) {
        self.reported.set(Instant::now());
        let partition = self.partition;
        self.send(&FromWorker::Progress { partition });
    }

    pub(super) fn send(&self, message: &FromWorker) {
        self.worker.link.send(message);
    }

    /// Ends a partition's turn at its token's login, and lets the partitions that wait for it try.
    pub(super) fn settle_login(&self, slot: u64, partition: u32, login: Option<Credential>) {
        let waiting = self.worker.logins().settle(slot, partition, login);
        for partition in waiting {
            self.worker.post(partition, Command::LoginSettled);
        }
    }
}
