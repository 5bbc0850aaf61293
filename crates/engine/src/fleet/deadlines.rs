//! How long a worker may take: to start, to answer a call, to end.

use super::Fleet;
use super::partition::{Partition, Trouble};
use super::worker::{Call, END_WITHIN, Ending, RECOVERED_AFTER, WorkerState};
use crate::action::Action;
use crate::context::Context;
use crate::fact::{WorkerFact, WorkerFailure};
use crate::ids::{PartitionId, WorkerKey};
use crate::timers::Timer;

impl Fleet {
    /// Sets the worker's timer to whatever it waits for.
    pub(super) fn set_worker_timer(&self, context: &mut Context, key: WorkerKey) {
        let worker = &self.workers[&key];
        let at = match worker.state {
            WorkerState::Down => return,
            WorkerState::Starting { deadline } => Some(deadline),
            WorkerState::Ending { by, step } => (step != Ending::Stuck).then_some(by),
            WorkerState::Up { since } => {
                let recovered = worker.is_failing.then_some(since + RECOVERED_AFTER);
                let deadline = worker.next_deadline(self.modules[&key.module].deadline);
                deadline.into_iter().chain(recovered).min()
            }
        };
        context.timers.set(Timer::Worker(key), at);
    }

    pub(super) fn worker_wakes(&mut self, context: &mut Context, key: WorkerKey) {
        let now = context.now;
        let deadline = self.modules[&key.module].deadline;
        let worker = self.worker(key);
        match worker.state {
            WorkerState::Down => self.start_worker(context, key),
            WorkerState::Starting { .. } => self.hung(context, key, Vec::new()),
            WorkerState::Ending { step, .. } => self.ending_goes_on(context, key, step),
            WorkerState::Up { since } => {
                let is_past =
                    |call: &Call, limit| call.runs_since.is_some_and(|since| since + limit <= now);
                if worker.calls.values().any(|call| is_past(call, deadline)) {
                    // Calls within 10 % of the deadline count as hung too: one kill serves them all.
                    let nearly = deadline * 9 / 10;
                    let calls = worker.calls.iter();
                    let hung = calls.filter(|(_, call)| is_past(call, nearly));
                    let hung = hung.map(|(id, _)| *id).collect();
                    self.hung(context, key, hung);
                    return;
                }
                if now.since(since) >= RECOVERED_AFTER {
                    worker.backoff.succeeded();
                    if std::mem::take(&mut worker.is_failing) {
                        self.emit_worker(context, key, WorkerFact::Recovered);
                    }
                }
                self.set_worker_timer(context, key);
            }
        }
    }

    fn ending_goes_on(&mut self, context: &mut Context, key: WorkerKey, step: Ending) {
        let by = context.now + END_WITHIN;
        let worker = self.worker(key);
        if step == Ending::Asked {
            let step = Ending::Killed;
            worker.state = WorkerState::Ending { by, step };
            let worker = worker.process;
            context.act(Action::EndWorker { worker, kill: true });
        } else {
            let step = Ending::Stuck;
            worker.state = WorkerState::Ending { by, step };
            self.give_up_members(
                context,
                key,
                "its module's worker process hangs in the kernel",
            );
            self.emit_worker(context, key, WorkerFact::Stuck);
        }
        self.set_worker_timer(context, key);
    }

    /// A call, or the library's start if `culprits` is empty, is past its deadline.
    fn hung(&mut self, context: &mut Context, key: WorkerKey, culprits: Vec<PartitionId>) {
        let deadline = self.modules[&key.module].deadline;
        let first = culprits.first().and_then(|id| self.partitions.get(id));
        let partition = first.map(Partition::named);
        let worker = self.worker(key);
        worker.is_failing = true;
        worker.not_loaded = None;
        for id in &culprits {
            if let Some(partition) = self.partitions.get_mut(id) {
                partition.trouble = Some(Trouble::Hung);
                partition.last_error =
                    Some(format!("a call hung for {} s", deadline.as_secs()).into());
                self.review(context, *id);
                self.finish(context, *id);
            }
        }
        if culprits.is_empty() {
            self.give_up_members(context, key, "loading the module hung");
        }
        let fact = WorkerFact::Failed {
            failure: WorkerFailure::Hung {
                partition,
                deadline,
            },
            next: self.restart_or_give_up(context, key),
        };
        self.emit_worker(context, key, fact);
        self.end_worker(context, key, true);
        for id in &culprits {
            self.worker(key).calls.remove(id);
            self.drop_session(context, *id);
        }
        self.mark_members_down(context, key);
        for id in culprits {
            self.took_down(context, key, id);
        }
    }
}
