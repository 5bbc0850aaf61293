//! Worker processes: start, end, restart.

use std::time::Duration;

use super::Fleet;
use super::once::STARTS;
use super::partition::{Phase, Trouble};
use super::worker::{END_WITHIN, Ending, RECOVERED_AFTER, WorkerState};
use crate::action::{Action, Next};
use crate::context::Context;
use crate::event::TokenFault;
use crate::fact::{WorkerFact, WorkerFailure};
use crate::ids::{PartitionId, WorkerId, WorkerKey};
use crate::timers::Timer;

/// A worker whose tokens are all missing restarts this often: some libraries notice new tokens only
/// then.
const RESTART_EVERY: Duration = Duration::from_secs(60);

impl Fleet {
    pub(super) fn start_worker(&mut self, context: &mut Context, key: WorkerKey) {
        self.workers_started += 1;
        let process = WorkerId(self.workers_started);
        let deadline = context.now + self.modules[&key.module].deadline;
        let worker = self.worker(key);
        worker.starts += 1;
        worker.process = process;
        worker.not_loaded = None;
        worker.state = WorkerState::Starting { deadline };
        self.set_worker_timer(context, key);
        self.emit_worker(context, key, WorkerFact::Started);
        context.act(Action::StartWorker {
            worker: process,
            module: key.module,
        });
    }

    pub(crate) fn worker_ready(&mut self, context: &mut Context, process: WorkerId) {
        let Some(key) = self.current(process) else {
            return;
        };
        let worker = self.worker(key);
        if !matches!(worker.state, WorkerState::Starting { .. }) {
            return;
        }
        worker.state = WorkerState::Up { since: context.now };
        // A partition that failed, or was called last, may be why it was down: the others come first.
        let mut members: Vec<_> = worker.members.iter().copied().collect();
        members.sort_by_key(|id| {
            let partition = &self.partitions[id];
            (partition.backoff.failures() > 0, partition.last_call)
        });
        self.set_worker_timer(context, key);
        for id in members {
            if context.timers.get(Timer::Partition(id)).is_none() {
                self.open_now(context, id);
            }
        }
    }

    pub(crate) fn worker_failed(&mut self, process: WorkerId, text: String) {
        if let Some(key) = self.current(process) {
            self.worker(key).not_loaded = Some(text);
        }
    }

    /// Kills a worker that does not keep to the protocol; it starts again after its back-off.
    pub(crate) fn worker_misbehaves(
        &mut self,
        context: &mut Context,
        process: WorkerId,
        text: String,
    ) {
        let Some(key) = self.current(process) else {
            return;
        };
        let worker = self.worker(key);
        if matches!(worker.state, WorkerState::Down | WorkerState::Ending { .. }) {
            return;
        }
        worker.is_failing = true;
        self.give_up_members(context, key, &text);
        let fact = WorkerFact::Failed {
            failure: WorkerFailure::Misbehaved(text),
            next: self.restart_or_give_up(context, key),
        };
        self.emit_worker(context, key, fact);
        self.end_worker(context, key, true);
        self.mark_members_down(context, key);
    }

    pub(crate) fn worker_exited(&mut self, context: &mut Context, process: WorkerId, text: String) {
        let Some(key) = self.current(process) else {
            return;
        };
        let now = context.now;
        let worker = self.worker(key);
        let not_loaded = worker.not_loaded.take();
        let restart_at_once = std::mem::take(&mut worker.restart_at_once);
        let intended = matches!(worker.state, WorkerState::Ending { .. });
        if matches!(worker.state, WorkerState::Up { since } if now.since(since) > RECOVERED_AFTER) {
            worker.backoff.succeeded();
        }
        let starts = worker.starts;
        let in_flight: Vec<_> = std::mem::take(&mut worker.calls).into_keys().collect();
        worker.state = WorkerState::Down;
        self.drop_sessions(context, key);
        if !intended {
            self.mark_members_down(context, key);
            self.crashed(context, key, &in_flight);
            if let Some(why) = &not_loaded {
                self.give_up_members(context, key, why);
            } else if in_flight.is_empty() && starts >= STARTS {
                self.give_up_members(context, key, &text);
            }
        }
        let is_needed = self.is_needed(context, key);
        let worker = self.worker(key);
        if worker.members.is_empty() {
            self.emit_worker(context, key, WorkerFact::Ended);
            self.workers.remove(&key);
            context.timers.set(Timer::Worker(key), None);
            return;
        }
        if intended && restart_at_once && is_needed {
            self.emit_worker(context, key, WorkerFact::Ended);
            self.start_worker(context, key);
            return;
        }
        let wait = worker.backoff.failed(&mut context.random);
        let at = is_needed.then_some(now + wait);
        context.timers.set(Timer::Worker(key), at);
        if !intended {
            worker.is_failing = true;
            let fact = WorkerFact::Failed {
                failure: not_loaded.map_or(WorkerFailure::Died(text), WorkerFailure::NotLoaded),
                next: if is_needed {
                    Next::TryAgain(wait)
                } else {
                    Next::GiveUp
                },
            };
            self.emit_worker(context, key, fact);
        }
        self.emit_worker(context, key, WorkerFact::Ended);
    }

    /// Drops the queues and sessions of a worker that is to end, or is gone. While it ends, it may
    /// still answer the calls in flight, or have answered them just before it was killed.
    fn drop_sessions(&mut self, context: &mut Context, key: WorkerKey) {
        let worker = self.worker(key);
        worker.to_open.clear();
        worker.ready.clear();
        worker.recorded.clear();
        let mut members: Vec<_> = worker.members.iter().copied().collect();
        members.retain(|id| !worker.calls.contains_key(id));
        for id in members {
            self.drop_session(context, id);
        }
    }

    /// A partition's session is gone; a seed under way is spent.
    pub(super) fn drop_session(&mut self, context: &mut Context, id: PartitionId) {
        if let Some(partition) = self.partitions.get(&id)
            && !matches!(partition.phase, Phase::Closed)
        {
            context.timers.set(Timer::Partition(id), None);
            self.set_phase(context, id, Phase::Closed);
        }
    }

    /// Restarts a worker whose library is out of order.
    pub(super) fn restart_worker(&mut self, context: &mut Context, key: WorkerKey) {
        self.end_worker(context, key, false);
        self.start_when_ended(context, key);
    }

    /// Starts a worker that is down at once, and one that is ending as soon as it has ended.
    pub(super) fn start_when_ended(&mut self, context: &mut Context, key: WorkerKey) {
        let worker = self.worker(key);
        match worker.state {
            WorkerState::Down => self.start_worker(context, key),
            WorkerState::Ending { .. } => worker.restart_at_once = true,
            WorkerState::Starting { .. } | WorkerState::Up { .. } => {}
        }
    }

    pub(super) fn end_worker(&mut self, context: &mut Context, key: WorkerKey, kill: bool) {
        let worker = self.worker(key);
        if matches!(worker.state, WorkerState::Down | WorkerState::Ending { .. }) {
            return;
        }
        let step = if kill { Ending::Killed } else { Ending::Asked };
        let by = context.now + END_WITHIN;
        worker.state = WorkerState::Ending { by, step };
        let worker = worker.process;
        self.drop_sessions(context, key);
        self.set_worker_timer(context, key);
        context.act(Action::EndWorker { worker, kill });
    }

    pub(super) fn mark_members_down(&mut self, context: &mut Context, key: WorkerKey) {
        for id in self.worker(key).members.clone() {
            let partition = self.partition(id);
            if partition.trouble.is_none() {
                partition.trouble = Some(Trouble::WorkerDown);
                self.review(context, id);
            }
        }
    }

    /// Restarts a worker whose tokens have all been missing for a while. Checks at most once in
    /// that while, since there may be thousands.
    pub(super) fn restart_if_all_missing(&mut self, context: &mut Context, key: WorkerKey) {
        let now = context.now;
        let worker = self.worker(key);
        let WorkerState::Up { since } = worker.state else {
            return;
        };
        if now.since(worker.checked_tokens.max(since)) < RESTART_EVERY {
            return;
        }
        worker.checked_tokens = now;
        let missing = Some(Trouble::Token(TokenFault::Missing));
        let mut members = self.workers[&key].members.iter();
        if members.all(|id| self.partitions[id].trouble == missing) {
            self.restart_worker(context, key);
        }
    }
}
