//! What a worker says is checked against what it was asked: the module in it may be hostile.

use super::Engine;
use crate::event::Event;
use crate::fact::{Fact, WorkerFact, WorkerFailure};
use crate::ids::{PartitionId, WorkerId, WorkerKey};
use crate::worker::{Call, WorkerState};

/// PINs that one call may ask about: a seed that lost its session and then its login asks twice.
const PINS_OF_A_CALL: u8 = 3;

/// What an event from a worker is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// It answers a call, or is nothing that could do harm.
    Asked,
    /// Its worker is ending, so the answer may have been overtaken.
    Late,
    /// Nobody asked for it.
    Unasked(WorkerKey),
}

impl Engine {
    /// Whether an event from a worker answers what that worker was asked. Check this before you
    /// store or log anything that came with the event, then hand it in all the same.
    #[must_use]
    pub fn expects(&self, event: &Event) -> bool {
        self.heard(event) == Heard::Asked
    }

    /// Drops what no worker was asked for, and ends the worker that says it.
    pub(super) fn admit(&mut self, event: &Event) -> bool {
        match self.heard(event) {
            Heard::Asked => {
                if let Event::PinAsked {
                    worker, partition, ..
                } = event
                    && let Some((_, worker)) = self.current(*worker)
                    && let Some(call) = worker.calls.get_mut(partition)
                {
                    call.pins_asked += 1;
                }
                true
            }
            Heard::Late => false,
            Heard::Unasked(key) => {
                let text = "its worker process answered a question that qseed did not ask";
                self.worker_misbehaves(key, text.to_owned());
                false
            }
        }
    }

    fn heard(&self, event: &Event) -> Heard {
        let asked = |worker: &WorkerId, id: &PartitionId, fits: &dyn Fn(&Call) -> bool| {
            let Some(key) = self.lives.get(worker) else {
                return Heard::Late;
            };
            let worker = self.workers.get(key).filter(|known| known.life == *worker);
            match worker {
                Some(worker) if worker.calls.get(id).is_some_and(fits) => Heard::Asked,
                Some(worker) if worker.is_up() => Heard::Unasked(*key),
                _ => Heard::Late,
            }
        };
        match event {
            Event::Opened { worker, partition }
            | Event::OpenFailed {
                worker, partition, ..
            } => asked(worker, partition, &Call::opens),
            Event::Seeded {
                worker,
                partition,
                job,
            }
            | Event::SeedFailed {
                worker,
                partition,
                job,
                ..
            } => asked(worker, partition, &|call| call.job == Some(*job)),
            Event::PinAsked {
                worker, partition, ..
            } => asked(worker, partition, &|call| call.pins_asked < PINS_OF_A_CALL),
            _ => Heard::Asked,
        }
    }

    /// Kills a worker that does not keep to the protocol; it starts again after its back-off.
    pub(super) fn worker_misbehaves(&mut self, key: WorkerKey, text: String) {
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        if matches!(worker.state, WorkerState::Down | WorkerState::Ending { .. }) {
            return;
        }
        worker.failing_since.get_or_insert(self.now);
        let process = self.process(key);
        self.give_up_members(key, &text);
        let fact = WorkerFact::Failed {
            failure: WorkerFailure::Misbehaved(text),
            next: self.restart_or_give_up(key),
        };
        self.emit(Fact::Worker(process, fact));
        self.end_worker(key, true);
        self.mark_members_down(key);
    }
}
