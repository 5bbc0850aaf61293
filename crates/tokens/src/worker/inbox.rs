//! One operation of a partition at a time, in order, on whichever thread of the pool is free.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qseed_entropy::Seed;

use super::Worker;
use super::partition::Partition;
use crate::wire::{Open, Verdict};

/// What a partition is told to do.
pub(super) enum Command {
    Open(Open),
    Verdict {
        ask: u64,
        verdict: Verdict,
    },
    /// The login at the token that this partition waited for has ended, well or not.
    LoginSettled,
    Seed {
        job: u64,
        seed: Seed,
    },
    Close,
}

/// A partition and what it has still to do.
pub(super) struct Inbox {
    state: Mutex<State>,
    partition: Mutex<Partition>,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    at_work: bool,
}

impl Inbox {
    pub(super) fn new(partition: u32) -> Self {
        Self {
            state: Mutex::default(),
            partition: Mutex::new(Partition::new(partition)),
        }
    }

    /// Adds a command behind those that wait. One that may be carried out `here` is, by the thread
    /// that calls this, if nothing else of the partition is under way.
    pub(super) fn post(self: &Arc<Self>, worker: &Arc<Worker>, command: Command, here: bool) {
        let mut state = self.lock();
        state.commands.push_back(command);
        let starts = !std::mem::replace(&mut state.at_work, true);
        // The thread that takes it up must not wait for this lock.
        drop(state);
        if starts && here {
            self.work(worker);
        } else if starts {
            self.work_on(worker);
        }
    }

    /// Closes the partition as soon as what it does now is done; what waits is dropped.
    pub(super) fn close_last(self: &Arc<Self>, worker: &Arc<Worker>) {
        self.lock().commands.clear();
        self.post(worker, Command::Close, false);
    }

    /// Has a thread carry out the next command. Others' commands come in between, so that a
    /// partition with many commands delays none with few.
    fn work_on(self: &Arc<Self>, worker: &Arc<Worker>) {
        let (inbox, worker_) = (Arc::clone(self), Arc::clone(worker));
        worker.pool.run(move || inbox.work(&worker_));
    }

    fn work(self: &Arc<Self>, worker: &Arc<Worker>) {
        let command = self.lock().commands.pop_front();
        if let Some(command) = command {
            let mut partition = self
                .partition
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            partition.carry_out(worker, command);
        }
        let mut state = self.lock();
        state.at_work = !state.commands.is_empty();
        let goes_on = state.at_work;
        drop(state);
        if goes_on {
            self.work_on(worker);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
