//! How long a worker may take: to start, to answer a call, to end.

use super::Engine;
use crate::action::Action;
use crate::fact::{Fact, WorkerFact, WorkerFailure};
use crate::ids::{PartitionId, WorkerId, WorkerKey, WorkerRole};
use crate::partition::{Partition, Trouble};
use crate::timers::Timer;
use crate::worker::{Call, END_WITHIN, Ending, RECOVERED_AFTER, WorkerState};

impl Engine {
    /// Sets the worker's timer to whatever it waits for.
    pub(super) fn arm_worker(&mut self, key: WorkerKey) {
        let Some(worker) = self.workers.get(&key) else {
            return;
        };
        let at = match worker.state {
            WorkerState::Down => return,
            WorkerState::Starting { deadline } => Some(deadline),
            WorkerState::Ending { by, step } => (step != Ending::Stuck).then_some(by),
            WorkerState::Up { since } => {
                let recovered = worker.failing_since.map(|_| since + RECOVERED_AFTER);
                let deadline = worker.next_deadline(self.modules[&key.module].deadline);
                deadline.into_iter().chain(recovered).min()
            }
        };
        self.timers.set(Timer::Worker(key), at);
    }

    pub(super) fn worker_wakes(&mut self, key: WorkerKey) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        match worker.state {
            WorkerState::Down => self.start_worker(key),
            WorkerState::Starting { .. } => self.hung(key, Vec::new()),
            WorkerState::Ending { step, .. } => self.ending_goes_on(key, step),
            WorkerState::Up { since } => {
                let deadline = self.modules[&key.module].deadline;
                let is_past =
                    |call: &Call| call.runs_since.is_some_and(|since| since + deadline <= now);
                let calls = worker.calls.iter().filter(|(_, call)| is_past(call));
                let hung: Vec<_> = calls.map(|(id, _)| *id).collect();
                if !hung.is_empty() {
                    self.hung(key, hung);
                } else if now.since(since) >= RECOVERED_AFTER {
                    self.worker_recovered(key);
                    self.arm_worker(key);
                } else {
                    self.arm_worker(key);
                }
            }
        }
    }

    fn worker_recovered(&mut self, key: WorkerKey) {
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        worker.backoff.succeeded();
        if worker.failing_since.take().is_some() {
            self.emit(Fact::Worker(self.process(key), WorkerFact::Recovered));
        }
    }

    fn ending_goes_on(&mut self, key: WorkerKey, step: Ending) {
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        let life = worker.life;
        let by = self.now + END_WITHIN;
        if step == Ending::Asked {
            worker.state = WorkerState::Ending {
                by,
                step: Ending::Killed,
            };
            self.pins.no_more_verdicts(life);
            self.act(Action::EndWorker {
                worker: life,
                kill: true,
            });
        } else {
            worker.state = WorkerState::Ending {
                by,
                step: Ending::Stuck,
            };
            self.give_up_members(key, "its module's worker process hangs in the kernel");
            self.emit(Fact::Worker(self.process(key), WorkerFact::Stuck));
        }
        self.arm_worker(key);
    }

    /// A call, or the library's start where `culprits` is empty, is past its deadline.
    fn hung(&mut self, key: WorkerKey, culprits: Vec<PartitionId>) {
        let now = self.now;
        let deadline = self.modules[&key.module].deadline;
        let partition = culprits
            .first()
            .and_then(|id| self.partitions.get(id))
            .map(Partition::named);
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        worker.hung = true;
        worker.failing_since.get_or_insert(now);
        worker.failure = None;
        for id in &culprits {
            if let Some(partition) = self.partitions.get_mut(id) {
                partition.failures += 1;
                partition.trouble = Some((Trouble::Hung, now));
                partition.last_error =
                    Some(format!("a call hung for {} s", deadline.as_secs()).into());
            }
            self.review(*id);
        }
        for id in &culprits {
            self.finish(*id);
        }
        if culprits.is_empty() {
            self.give_up_members(key, "loading the module hung");
        }
        let fact = WorkerFact::Failed {
            failure: WorkerFailure::Hung {
                partition,
                deadline,
            },
            next: self.restart_or_give_up(key),
        };
        self.emit(Fact::Worker(self.process(key), fact));
        self.end_worker(key, true);
        for id in &culprits {
            if let Some(worker) = self.workers.get_mut(&key) {
                worker.calls.remove(id);
            }
            self.drop_session(*id);
        }
        self.mark_members_down(key);
        for id in culprits {
            self.retry_later(id);
            self.offends(key, id, WorkerRole::Quarantine);
        }
    }

    pub(super) fn call_goes_on(&mut self, life: WorkerId, id: PartitionId) {
        self.set_call_deadline(life, id, true);
    }

    /// Restarts the deadline of a call, or suspends it while the worker waits for us. Returns
    /// whether there is such a call.
    pub(super) fn set_call_deadline(
        &mut self,
        life: WorkerId,
        id: PartitionId,
        runs: bool,
    ) -> bool {
        let now = self.now;
        let Some(key) = self.lives.get(&life).copied() else {
            return false;
        };
        let Some((_, worker)) = self.current(life) else {
            return false;
        };
        let Some(call) = worker.calls.get_mut(&id) else {
            return false;
        };
        call.ran = call.ran(now);
        call.runs_since = runs.then_some(now);
        self.arm_worker(key);
        true
    }
}
