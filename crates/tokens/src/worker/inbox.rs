//! One operation of a partition at a time, in order, on whichever thread of the pool is free.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::operation::Command;
use super::partition::Partition;
use super::{Worker, locked};

/// A partition and what it has still to do.
pub(super) struct Inbox {
    state: Mutex<State>,
    partition: Mutex<Partition>,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    is_running: bool,
}

impl Inbox {
    pub(super) fn new(partition: u32) -> Self {
        Self {
            state: Mutex::default(),
            partition: Mutex::new(Partition::new(partition)),
        }
    }

    /// Adds a command to the queue. With `here`, the calling thread carries it out, if nothing else
    /// of the partition is under way.
    pub(super) fn post(self: &Arc<Self>, worker: &Arc<Worker>, command: Command, here: bool) {
        let mut state = locked(&self.state);
        state.commands.push_back(command);
        let starts = !std::mem::replace(&mut state.is_running, true);
        // The thread that takes it up must not wait for this lock.
        drop(state);
        if starts && here {
            self.work(worker);
        } else if starts {
            self.work_on(worker);
        }
    }

    /// Closes the partition after its current command; drops the commands that wait.
    pub(super) fn close_last(self: &Arc<Self>, worker: &Arc<Worker>) {
        locked(&self.state).commands.clear();
        self.post(worker, Command::Close, false);
    }

    /// Has a thread of the pool carry out the next command. Commands of other partitions come in
    /// between: a partition with many commands delays none with few.
    fn work_on(self: &Arc<Self>, worker: &Arc<Worker>) {
        let (inbox, worker_) = (Arc::clone(self), Arc::clone(worker));
        worker.pool.run(move || inbox.work(&worker_));
    }

    fn work(self: &Arc<Self>, worker: &Arc<Worker>) {
        let command = locked(&self.state).commands.pop_front();
        if let Some(command) = command {
            locked(&self.partition).carry_out(worker, command);
        }
        let mut state = locked(&self.state);
        state.is_running = !state.commands.is_empty();
        if state.is_running {
            drop(state);
            self.work_on(worker);
        }
    }
}
