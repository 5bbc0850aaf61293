//! The desk for worker processes: it starts them, speaks to them, and hears of their end.

use std::collections::BTreeMap;

use qseed_engine::WorkerId;
use qseed_tokens::supervisor::{KeptPins, Worker, WorkerSpec};
use qseed_tokens::wire::ToWorker;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::FromWorkers;

/// Workers' events that wait to be handled, before workers are read no further, in turn: few, so
/// that none that says much stands long before one that says little.
const WAITING_EVENTS: usize = 64;

#[derive(Debug)]
pub(super) struct Processes {
    running: BTreeMap<WorkerId, Worker>,
    events: Sender<FromWorkers>,
    from_workers: Receiver<FromWorkers>,
}

impl Default for Processes {
    fn default() -> Self {
        let (events, from_workers) = channel(WAITING_EVENTS);
        Self {
            running: BTreeMap::new(),
            events,
            from_workers,
        }
    }
}

impl Processes {
    /// Starts a worker, with the PINs that are kept for it.
    ///
    /// # Errors
    /// Why it cannot be started, for people.
    pub(super) fn start(
        &mut self,
        worker: WorkerId,
        spec: &WorkerSpec,
        pins: Option<&KeptPins>,
    ) -> Result<(), String> {
        // The engine counts up; 2^32 worker starts will not happen.
        let number = u32::try_from(worker.0).unwrap_or(u32::MAX);
        let process = Worker::spawn(spec, pins, number, self.events.clone())
            .map_err(|error| format!("its worker process cannot be started: {error}"))?;
        self.running.insert(worker, process);
        Ok(())
    }

    /// Sends a message, if the worker still runs.
    pub(super) fn send(&self, worker: WorkerId, message: ToWorker) {
        if let Some(process) = self.running.get(&worker) {
            process.send(message);
        }
    }

    pub(super) fn kill(&self, worker: WorkerId) {
        if let Some(process) = self.running.get(&worker) {
            process.kill();
        }
    }

    /// Asks all workers to finish, log out and end.
    pub(super) fn shut_down_all(&self) {
        for process in self.running.values() {
            process.send(ToWorker::Shutdown);
        }
    }

    pub(super) fn kill_all(&self) {
        self.running.values().for_each(Worker::kill);
    }

    /// The next thing that a worker says, or its end.
    pub(super) async fn next(&mut self) -> Option<FromWorkers> {
        self.from_workers.recv().await
    }

    /// A worker has ended.
    pub(super) fn ended(&mut self, worker: WorkerId) {
        self.running.remove(&worker);
    }

    pub(super) fn all_ended(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether a process is one of the workers.
    pub(super) fn is_worker(&self, pid: i32) -> bool {
        let mut pids = self.running.values().map(Worker::pid);
        pids.any(|of| i64::from(of) == i64::from(pid))
    }
}
