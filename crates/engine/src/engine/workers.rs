//! Worker processes: start, watch, end, restart.

use std::time::Duration;

use super::Engine;
use super::once::STARTS;
use crate::action::{Action, Next};
use crate::event::TokenFault;
use crate::fact::{Fact, WorkerFact, WorkerFailure};
use crate::ids::{PartitionId, WorkerId, WorkerKey};
use crate::partition::{Phase, Trouble};
use crate::timers::Timer;
use crate::worker::{END_WITHIN, Ending, RECOVERED_AFTER, Worker, WorkerState};

/// A worker whose tokens are all missing restarts this often: some libraries notice new tokens only
/// then.
const RESTART_EVERY: Duration = Duration::from_secs(60);

impl Engine {
    pub(super) fn start_worker(&mut self, key: WorkerKey) {
        self.lives_begun += 1;
        let life = WorkerId(self.lives_begun);
        let Some(module) = self.modules.get(&key.module) else {
            return;
        };
        let deadline = self.now + module.deadline;
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        if worker.life != WorkerId(0) {
            worker.restarts += 1;
        }
        worker.life = life;
        worker.failure = None;
        worker.state = WorkerState::Starting { deadline };
        self.lives.insert(life, key);
        self.arm_worker(key);
        self.emit(Fact::Worker(self.process(key), WorkerFact::Started));
        self.act(Action::StartWorker {
            worker: life,
            module: key.module,
        });
    }

    pub(super) fn current(&mut self, life: WorkerId) -> Option<(WorkerKey, &mut Worker)> {
        let key = *self.lives.get(&life)?;
        let worker = self
            .workers
            .get_mut(&key)
            .filter(|worker| worker.life == life)?;
        Some((key, worker))
    }

    pub(super) fn worker_ready(&mut self, life: WorkerId) {
        let now = self.now;
        let Some((key, worker)) = self.current(life) else {
            return;
        };
        if !matches!(worker.state, WorkerState::Starting { .. }) {
            return;
        }
        worker.state = WorkerState::Up { since: now };
        worker.hung = false;
        // A partition that failed, or was called last, may be why it was down: the others come first.
        let mut members: Vec<_> = worker.members.iter().copied().collect();
        members.sort_by_key(|id| {
            let partition = &self.partitions[id];
            (partition.backoff.failures() > 0, partition.last_call)
        });
        self.arm_worker(key);
        for id in members {
            if self.timers.get(Timer::Partition(id)).is_none() {
                self.open_now(id);
            }
        }
    }

    pub(super) fn worker_failed(&mut self, life: WorkerId, text: String) {
        if let Some((_, worker)) = self.current(life) {
            worker.failure = Some(text);
        }
    }

    pub(super) fn worker_exited(&mut self, life: WorkerId, text: String) {
        let now = self.now;
        let Some((key, worker)) = self.current(life) else {
            self.lives.remove(&life);
            return;
        };
        let failure = worker.failure.take();
        let restarts = worker.restarts;
        let at_once = std::mem::take(&mut worker.restart_at_once);
        let intended = matches!(worker.state, WorkerState::Ending { .. });
        if matches!(worker.state, WorkerState::Up { since } if now.since(since) > RECOVERED_AFTER) {
            worker.backoff.succeeded();
        }
        let blamed = if intended {
            Vec::new()
        } else {
            worker.calls.keys().copied().collect()
        };
        worker.state = WorkerState::Down;
        self.lives.remove(&life);
        self.take_down(key);
        if !intended {
            self.mark_members_down(key);
            self.crashed(key, &blamed);
            if let Some(why) = &failure {
                self.give_up_members(key, why);
            } else if blamed.is_empty() && restarts + 1 >= STARTS {
                self.give_up_members(key, &text);
            }
        }
        let process = self.process(key);
        let is_needed = self.is_needed(key);
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        let mut unintended = None;
        let starts_again = intended && at_once && is_needed && !worker.members.is_empty();
        if worker.members.is_empty() {
            self.workers.remove(&key);
            self.timers.set(Timer::Worker(key), None);
        } else if !starts_again {
            let wait = worker.backoff.failed(&mut self.random);
            self.timers
                .set(Timer::Worker(key), is_needed.then_some(now + wait));
            if !intended {
                worker.failing_since.get_or_insert(now);
            }
            unintended = (!intended).then(|| WorkerFact::Failed {
                failure: failure.map_or(WorkerFailure::Died(text), WorkerFailure::NotLoaded),
                next: if is_needed {
                    Next::TryAgain(wait)
                } else {
                    Next::GiveUp
                },
            });
        }
        if let Some(failed) = unintended {
            self.emit(Fact::Worker(process.clone(), failed));
        }
        self.emit(Fact::Worker(process, WorkerFact::Ended));
        if starts_again {
            self.start_worker(key);
        }
    }

    /// Takes the sessions, calls and lines from a worker that is gone.
    fn take_down(&mut self, key: WorkerKey) {
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        let life = worker.life;
        worker.calls.clear();
        worker.to_open.clear();
        worker.ready.clear();
        let members: Vec<_> = worker.members.iter().copied().collect();
        for id in members {
            self.drop_session(id);
        }
        self.pins_of_dead_worker(life);
    }

    /// Takes the sessions and lines from a worker that is to end. It may still answer the calls that
    /// are in flight, or have answered them just before it was killed.
    fn wind_up(&mut self, key: WorkerKey) {
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        worker.to_open.clear();
        worker.ready.clear();
        let without_call: Vec<_> = worker
            .members
            .iter()
            .filter(|id| !worker.calls.contains_key(id))
            .copied()
            .collect();
        for id in without_call {
            self.drop_session(id);
        }
    }

    /// A partition's session is gone; a seed under way is spent.
    pub(super) fn drop_session(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        if let Phase::Seeding { made_of, .. } = &mut partition.phase {
            let made_of = std::mem::take(made_of);
            self.sources.count(&made_of, false);
        }
        let Some(partition) = self.partitions.get(&id) else {
            return;
        };
        if !matches!(partition.phase, Phase::Closed) {
            self.timers.set(Timer::Partition(id), None);
            self.set_phase(id, Phase::Closed);
        }
    }

    /// Restarts a worker whose library is out of order.
    pub(super) fn restart_worker(&mut self, key: WorkerKey) {
        self.end_worker(key, false);
        self.start_when_ended(key);
    }

    /// Starts a worker that is down at once, and one that is ending as soon as it has ended.
    pub(super) fn start_when_ended(&mut self, key: WorkerKey) {
        match self.workers.get_mut(&key) {
            Some(worker) if matches!(worker.state, WorkerState::Down) => self.start_worker(key),
            Some(worker) if matches!(worker.state, WorkerState::Ending { .. }) => {
                worker.restart_at_once = true;
            }
            _ => {}
        }
    }

    pub(super) fn end_worker(&mut self, key: WorkerKey, kill: bool) {
        let by = self.now + END_WITHIN;
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        let life = worker.life;
        if matches!(worker.state, WorkerState::Down | WorkerState::Ending { .. }) {
            return;
        }
        let step = if kill { Ending::Killed } else { Ending::Asked };
        worker.state = WorkerState::Ending { by, step };
        self.wind_up(key);
        if kill {
            self.pins.no_more_verdicts(life);
        }
        self.arm_worker(key);
        self.act(Action::EndWorker { worker: life, kill });
    }

    pub(super) fn mark_members_down(&mut self, key: WorkerKey) {
        let now = self.now;
        let Some(worker) = self.workers.get(&key) else {
            return;
        };
        for id in worker.members.clone() {
            if let Some(partition) = self.partitions.get_mut(&id)
                && partition.trouble.is_none()
            {
                partition.trouble = Some((Trouble::WorkerDown, now));
                self.review(id);
            }
        }
    }

    /// Restarts a worker whose tokens have all been missing for a while. Checks at most once in
    /// that while, since there may be thousands.
    pub(super) fn restart_if_all_missing(&mut self, key: WorkerKey) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&key) else {
            return;
        };
        let WorkerState::Up { since } = worker.state else {
            return;
        };
        if now.since(worker.checked_tokens.max(since)) < RESTART_EVERY {
            return;
        }
        worker.checked_tokens = now;
        let missing = |id: &PartitionId| {
            self.partitions.get(id).is_some_and(|partition| {
                matches!(
                    partition.trouble,
                    Some((Trouble::Token(TokenFault::Missing), _))
                )
            })
        };
        if worker.members.iter().all(missing) {
            self.restart_worker(key);
        }
    }
}
