//! What becomes of a partition when one of its calls ends.

use std::time::Duration;

use super::Fleet;
use super::intents::NOT_RECORDED;
use super::partition::{Phase, Trouble};
use super::worker::{Call, SLOW};
use crate::action::Next;
use crate::backoff::CEILING;
use crate::context::Context;
use crate::event::{TokenFailure, TokenFault};
use crate::fact::PartitionFact;
use crate::guard::PinKnown;
use crate::ids::{JobId, PartitionId, WorkerId, WorkerKey, WorkerRole};
use crate::reservoir::Injection;
use crate::timers::Timer;

/// A token that takes no seeds is tried again this often.
const REST: Duration = Duration::from_secs(3600);
/// What waits for the operator is checked again this often; no PIN is presented for that.
const OPERATOR: Duration = Duration::from_secs(5 * 60);
/// `CKR_GENERAL_ERROR` this often in a row means that the library is out of order.
const GENERAL_ERRORS: u32 = 3;
/// Something changed while the partition was being opened: it is tried again after this time.
const RETRY_SOON: Duration = Duration::from_secs(1);

impl Fleet {
    /// The operator changed something: a closed partition is opened now, and one that is just being
    /// opened with what was there before is opened again if that fails.
    pub(crate) fn retry_now(&mut self, context: &mut Context, id: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.retry_soon = matches!(partition.phase, Phase::Opening);
            self.emit(context, id, PartitionFact::Mended);
            self.open_now(context, id);
        }
    }

    /// Opens a closed partition as soon as its worker can.
    pub(super) fn open_now(&mut self, context: &mut Context, id: PartitionId) {
        let partition = self.partition(id);
        if !matches!(partition.phase, Phase::Closed) || partition.finished {
            return;
        }
        context.timers.set(Timer::Partition(id), None);
        let key = partition.worker;
        let worker = self.worker(key);
        // A partition of this number was removed and is back before its call has ended.
        if worker.is_up() && !worker.calls.contains_key(&id) {
            worker.to_open.push_back(id);
            self.set_phase(context, id, Phase::ToOpen);
        }
    }

    pub(super) fn wait_for_seed(&mut self, context: &mut Context, id: PartitionId) {
        if self.ledger.holds_back() {
            self.give_up(context, id, NOT_RECORDED);
        }
        let partition = self.partition(id);
        if partition.finished {
            self.set_phase(context, id, Phase::Idle);
        } else {
            let key = partition.worker;
            self.worker(key).ready.push_back(id);
            self.set_phase(context, id, Phase::Ready);
        }
    }

    /// Ends the call of a partition, if its worker's present process makes it.
    fn end_call(
        &mut self,
        context: &mut Context,
        process: WorkerId,
        id: PartitionId,
    ) -> Option<(WorkerKey, Call)> {
        let key = self.current(process)?;
        let call = self.worker(key).calls.remove(&id)?;
        self.set_worker_timer(context, key);
        let partition = self.partitions.get(&id).filter(|p| p.worker == key)?;
        if matches!(partition.phase, Phase::Opening | Phase::Seeding(_)) {
            return Some((key, call));
        }
        // It was removed and is back; what it was asked before says nothing about it.
        self.open_now(context, id);
        None
    }

    pub(crate) fn opened(
        &mut self,
        context: &mut Context,
        process: WorkerId,
        id: PartitionId,
        result: Result<(), TokenFailure>,
        pin: PinKnown,
    ) {
        let Some((key, call)) = self.end_call(context, process, id) else {
            return;
        };
        if let Err(failure) = result {
            self.set_phase(context, id, Phase::Closed);
            self.partition_failed(context, (key, id, call), failure, None, pin);
            return;
        }
        let now = context.now;
        let worker = self.worker(key);
        worker.last_success = Some(now);
        let is_up = worker.is_up();
        let partition = self.partition(id);
        partition.retry_soon = false;
        // An open session proves that the token is there; whether it takes seeds is not known yet.
        if !partition.trouble.is_some_and(Trouble::is_of_seeding) {
            partition.trouble = None;
        }
        let due = partition.due;
        let duration = now.since(call.began);
        self.emit(context, id, PartitionFact::Opened { duration });
        if !is_up {
            self.set_phase(context, id, Phase::Closed);
        } else if due <= now {
            self.wait_for_seed(context, id);
        } else {
            self.set_phase(context, id, Phase::Idle);
            context.timers.set(Timer::Partition(id), Some(due));
            self.may_come_back(context, id);
        }
    }

    pub(crate) fn seeded(
        &mut self,
        context: &mut Context,
        (process, id, job): (WorkerId, PartitionId, JobId),
        result: Result<(), TokenFailure>,
        pin: PinKnown,
    ) {
        let Some((key, call)) = self.end_call(context, process, id) else {
            return;
        };
        let Some(injection) = self.end_seeding(context, id, job) else {
            return;
        };
        if let Err(failure) = result {
            self.set_phase(context, id, Phase::Closed);
            self.close(context, key, id);
            self.partition_failed(context, (key, id, call), failure, Some(injection), pin);
            return;
        }
        let now = context.now;
        let is_slow = call.ran(now) > SLOW;
        let worker = self.worker(key);
        worker.last_success = Some(now);
        if !is_slow {
            worker.last_quick_seed = Some(now);
        }
        let is_up = worker.is_up();
        let partition = self.partition(id);
        let gap = partition.last_seed.map(|last| now.since(last));
        partition.last_seed = Some(now);
        let was_late = std::mem::take(&mut partition.late);
        partition.backoff.succeeded();
        partition.general_errors = 0;
        partition.trouble = None;
        let due = now.next_multiple(partition.settings.period);
        partition.due = due;
        self.set_phase(context, id, if is_up { Phase::Idle } else { Phase::Closed });
        context
            .timers
            .set(Timer::Partition(id), is_up.then_some(due));
        // The timer of one that was neither moves on by itself.
        if was_late || gap.is_none() {
            self.expect_by(context, id);
        }
        let duration = now.since(call.began);
        let fact = PartitionFact::Seeded {
            injection,
            duration,
            gap,
            was_late,
        };
        self.emit(context, id, fact);
        self.finish(context, id);
        if is_slow {
            self.offends(context, key, id, WorkerRole::Slow);
        }
        self.may_come_back(context, id);
    }

    /// Takes the seed that was under way off the partition, which stays open.
    fn end_seeding(
        &mut self,
        context: &mut Context,
        id: PartitionId,
        job: JobId,
    ) -> Option<Injection> {
        let partition = self.partition(id);
        let phase = std::mem::replace(&mut partition.phase, Phase::Idle);
        match phase {
            Phase::Seeding(injection) if injection.job == job => {
                self.review(context, id);
                Some(injection)
            }
            other => {
                partition.phase = other;
                None
            }
        }
    }

    /// Decides what becomes of a closed partition whose call failed: in opening it, or in injecting
    /// a seed, which is `spent`.
    fn partition_failed(
        &mut self,
        context: &mut Context,
        (key, id, call): (WorkerKey, PartitionId, Call),
        failure: TokenFailure,
        spent: Option<Injection>,
        pin: PinKnown,
    ) {
        let fault = failure.fault;
        let partition = self.partition(id);
        partition.last_error = Some(failure.text.as_str().into());
        partition.trouble = Some(Trouble::Token(fault));
        let next = partition.next_try(context, fault, pin);
        let next = context.once_or(next);
        self.review(context, id);
        let fact = PartitionFact::Failed {
            spent,
            failure,
            next,
            duration: context.now.since(call.began),
        };
        self.emit(context, id, fact);
        match next {
            Next::TryAgain(wait) | Next::Operator(wait) => {
                let at = context.now + wait;
                context.timers.set(Timer::Partition(id), Some(at));
            }
            // When the worker is up again, the partition is opened.
            Next::RestartWorker => self.library_out_of_order(context, key, id),
            Next::GiveUp => self.finish(context, id),
        }
        if fault == TokenFault::Missing {
            self.restart_if_all_missing(context, key);
        }
        if call.ran(context.now) > SLOW {
            self.offends(context, key, id, WorkerRole::Quarantine);
        }
    }
}

impl super::Partition {
    fn next_try(&mut self, context: &mut Context, fault: TokenFault, pin: PinKnown) -> Next {
        let wait = self.backoff.failed(&mut context.random);
        if fault == TokenFault::General {
            self.general_errors += 1;
        } else {
            self.general_errors = 0;
        }
        if std::mem::take(&mut self.retry_soon) {
            return Next::TryAgain(RETRY_SOON);
        }
        match fault {
            TokenFault::SeedingRefused => Next::Operator(REST),
            TokenFault::PinRefused
            | TokenFault::PinHeld
            | TokenFault::GuardLost
            | TokenFault::PinNotSet => Next::Operator(OPERATOR),
            // Reading the flags costs no try, and no event says when they are gone.
            TokenFault::PinFlagged => Next::Operator(CEILING),
            TokenFault::Module => Next::RestartWorker,
            TokenFault::General if self.general_errors >= GENERAL_ERRORS => {
                self.general_errors = 0;
                Next::RestartWorker
            }
            // Time for the token to recover before the PIN is presented a second time.
            _ if pin == PinKnown::Unclear => Next::TryAgain(CEILING / 2 + wait / 2),
            _ => Next::TryAgain(wait),
        }
    }
}
