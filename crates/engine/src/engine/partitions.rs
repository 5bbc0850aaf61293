//! A partition's way: find it, open it, seed it when it is due, and what to do when that fails.

use std::time::Duration;

use super::Engine;
use crate::action::{Action, Next};
use crate::backoff::CEILING;
use crate::event::{TokenFailure, TokenFault};
use crate::fact::{Fact, PartitionFact};
use crate::ids::{JobId, PartitionId, WorkerId, WorkerKey, WorkerRole};
use crate::partition::{Phase, Trouble};
use crate::reservoir::MadeOf;
use crate::timers::Timer;
use crate::worker::{Call, SLOW, Worker};

/// A token that takes no seeds is looked at again this often.
const REST: Duration = Duration::from_secs(3600);
/// What waits for the operator is looked at again this often; no PIN is presented for that.
const OPERATOR: Duration = Duration::from_secs(5 * 60);
/// `CKR_GENERAL_ERROR` this often in a row means that the library is out of order.
const GENERAL_ERRORS: u32 = 3;
/// Something changed while the partition was being opened: it is tried again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Moves a partition on and keeps count of what waits for entropy.
    pub(super) fn set_phase(&mut self, id: PartitionId, phase: Phase) {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        let size = partition.settings.size;
        if matches!(partition.phase, Phase::Ready) {
            self.ready_bytes -= size;
        }
        if matches!(phase, Phase::Ready) {
            self.ready_bytes += size;
        }
        partition.phase = phase;
        self.review(id);
    }

    pub(super) fn partition_wakes(&mut self, id: PartitionId) {
        match self.partitions.get(&id).map(|partition| &partition.phase) {
            Some(Phase::Idle) => self.line_up_for_seed(id),
            Some(Phase::Closed) => self.open_now(id),
            _ => {}
        }
    }

    /// The operator mended something: a closed partition is opened now, and one that is just being
    /// opened with what was there before is opened again if that fails.
    pub(super) fn look_at_once(&mut self, id: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.look_again = matches!(partition.phase, Phase::Opening);
            let fact = Fact::Partition(partition.named(), PartitionFact::Mended);
            self.emit(fact);
        }
        self.open_now(id);
    }

    /// Opens a closed partition as soon as there is a place, if its worker is up.
    pub(super) fn open_now(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get(&id) else {
            return;
        };
        if !matches!(partition.phase, Phase::Closed) || partition.finished {
            return;
        }
        self.timers.set(Timer::Partition(id), None);
        let key = partition.worker;
        let Some(worker) = self.workers.get_mut(&key).filter(|worker| worker.is_up()) else {
            return;
        };
        // A partition of this number was removed and is back before its call has ended.
        if worker.calls.contains_key(&id) {
            return;
        }
        worker.to_open.push_back(id);
        self.set_phase(id, Phase::ToOpen);
    }

    fn line_up_for_seed(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get(&id).filter(|p| !p.finished) else {
            return;
        };
        let key = partition.worker;
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.ready.push_back(id);
            self.set_phase(id, Phase::Ready);
        }
    }

    /// Ends the call of a partition, if it is one of the worker's present life. Returns the worker
    /// and the call.
    fn end_call(&mut self, life: WorkerId, id: PartitionId) -> Option<(WorkerKey, Call)> {
        self.pin_unanswered(life, id);
        let key = *self.lives.get(&life)?;
        let worker = self
            .workers
            .get_mut(&key)
            .filter(|worker| worker.life == life)?;
        let call = worker.calls.remove(&id)?;
        self.arm_worker(key);
        let partition = self.partitions.get(&id).filter(|p| p.worker == key)?;
        if !matches!(partition.phase, Phase::Opening | Phase::Seeding { .. }) {
            // It was removed and is back; what it was asked before says nothing about it.
            self.open_now(id);
            return None;
        }
        Some((key, call))
    }

    pub(super) fn opened(&mut self, life: WorkerId, id: PartitionId) {
        let Some((key, call)) = self.end_call(life, id) else {
            return;
        };
        let now = self.now;
        self.pins.release(id);
        let partition = self.partitions.get_mut(&id).expect("its call just ended");
        let named = partition.named();
        partition.look_again = false;
        // An open session proves that the token is there; whether it takes seeds is not known yet.
        let seed_trouble = matches!(
            partition.trouble,
            Some((
                Trouble::Hung
                    | Trouble::Token(
                        TokenFault::SeedingRefused
                            | TokenFault::Module
                            | TokenFault::General
                            | TokenFault::Length
                            | TokenFault::Device
                    ),
                _
            ))
        );
        if !seed_trouble && partition.trouble.take().is_some() {
            partition.healthy_since = now;
        }
        let due = partition.due;
        let duration = now.since(call.began);
        self.emit(Fact::Partition(named, PartitionFact::Opened { duration }));
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.last_success = Some(now);
        }
        if !self.is_up(key) {
            self.set_phase(id, Phase::Closed);
        } else if due <= now {
            self.line_up_for_seed(id);
        } else {
            self.set_phase(id, Phase::Idle);
            self.timers.set(Timer::Partition(id), Some(due));
            self.may_come_back(id);
        }
    }

    pub(super) fn seeded(&mut self, life: WorkerId, id: PartitionId, job: JobId) {
        let Some((key, call)) = self.end_call(life, id) else {
            return;
        };
        let Some((bytes, made_of)) = self.end_seeding(id, job) else {
            return;
        };
        self.sources.count(&made_of, true);
        let now = self.now;
        let is_up = self.is_up(key);
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.last_success = Some(now);
            if call.ran(now) <= SLOW {
                worker.last_quick_seed = Some(now);
            }
        }
        let partition = self.partitions.get_mut(&id).expect("its call just ended");
        partition.seeds += 1;
        let gap = partition.last_seed.map(|last| now.since(last));
        partition.last_seed = Some(now);
        // The timer of one that was neither moves on by itself.
        let was_late = std::mem::take(&mut partition.late);
        let sets_timer = was_late || partition.seeds == 1;
        partition.backoff.succeeded();
        partition.general_errors = 0;
        if partition.trouble.take().is_some() || partition.seeds == 1 {
            partition.healthy_since = now;
        }
        partition.due = now.next_multiple(partition.settings.period);
        let (named, due) = (partition.named(), partition.due);
        self.set_phase(id, if is_up { Phase::Idle } else { Phase::Closed });
        self.timers.set(Timer::Partition(id), is_up.then_some(due));
        if sets_timer {
            self.expect_by(id);
        }
        let fact = PartitionFact::Seeded {
            bytes,
            made_of,
            duration: now.since(call.began),
            gap,
            was_late,
        };
        self.emit(Fact::Partition(named, fact));
        self.finish(id);
        if call.ran(now) > SLOW {
            self.offends(key, id, WorkerRole::Slow);
        }
        self.may_come_back(id);
    }

    fn is_up(&self, key: WorkerKey) -> bool {
        self.workers.get(&key).is_some_and(Worker::is_up)
    }

    /// Takes the seed that was under way off the partition, which stays open.
    fn end_seeding(&mut self, id: PartitionId, job: JobId) -> Option<(usize, MadeOf)> {
        let partition = self.partitions.get_mut(&id)?;
        match &mut partition.phase {
            Phase::Seeding {
                job: under_way,
                bytes,
                made_of,
            } if *under_way == job => Some((*bytes, std::mem::take(made_of))),
            _ => None,
        }
    }

    pub(super) fn open_failed(&mut self, life: WorkerId, id: PartitionId, failure: TokenFailure) {
        if let Some((key, call)) = self.end_call(life, id) {
            self.set_phase(id, Phase::Closed);
            self.partition_failed(key, id, failure, call, None);
        }
    }

    pub(super) fn seed_failed(
        &mut self,
        life: WorkerId,
        id: PartitionId,
        job: JobId,
        failure: TokenFailure,
    ) {
        let Some((key, call)) = self.end_call(life, id) else {
            return;
        };
        let Some(seed) = self.end_seeding(id, job) else {
            return;
        };
        self.sources.count(&seed.1, false);
        self.set_phase(id, Phase::Closed);
        self.act(Action::Close {
            worker: life,
            partition: id,
        });
        self.partition_failed(key, id, failure, call, Some(seed));
    }

    /// Decides what becomes of a closed partition whose `call` failed: in opening it, or in injecting
    /// `seed`.
    fn partition_failed(
        &mut self,
        key: WorkerKey,
        id: PartitionId,
        failure: TokenFailure,
        call: Call,
        seed: Option<(usize, MadeOf)>,
    ) {
        let now = self.now;
        if failure.fault == TokenFault::PinRefused {
            self.pin_revoked(id);
        }
        let partition = self.partitions.get_mut(&id).expect("its call just ended");
        partition.failures += 1;
        partition.last_error = Some(failure.text.as_str().into());
        let fault = failure.fault;
        let known = partition.trouble.as_ref().map(|(known, _)| known);
        if known != Some(&Trouble::Token(fault)) {
            partition.trouble = Some((Trouble::Token(fault), now));
            self.review(id);
        }
        let next = self.next_try(id, fault);
        let next = self.once_or(next);
        let fact = PartitionFact::Failed {
            spent: seed,
            failure,
            next,
            duration: now.since(call.began),
        };
        let named = self.partitions[&id].named();
        self.emit(Fact::Partition(named, fact));
        match next {
            Next::TryAgain(wait) | Next::Operator(wait) => {
                self.timers.set(Timer::Partition(id), Some(now + wait));
            }
            // When the worker is up again, the partition is opened.
            Next::RestartWorker => self.library_out_of_order(key, id),
            Next::GiveUp => self.finish(id),
        }
        if fault == TokenFault::Missing {
            self.restart_if_all_missing(key);
        }
        if call.ran(now) > SLOW {
            self.offends(key, id, WorkerRole::Quarantine);
        }
    }

    /// The partition's call hung or took its worker down: it is not opened as soon as that is up.
    pub(super) fn retry_later(&mut self, id: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            let wait = partition.backoff.failed(&mut self.random);
            self.timers.set(Timer::Partition(id), Some(self.now + wait));
        }
    }

    fn next_try(&mut self, id: PartitionId, fault: TokenFault) -> Next {
        // Time for the token to come to itself before the PIN is presented a second time.
        let unclear = self.pins.is_unclear(id);
        let partition = self.partitions.get_mut(&id).expect("its call just ended");
        let wait = partition.backoff.failed(&mut self.random);
        if fault == TokenFault::General {
            partition.general_errors += 1;
        } else {
            partition.general_errors = 0;
        }
        if std::mem::take(&mut partition.look_again) {
            return Next::TryAgain(LOOK_AGAIN);
        }
        match fault {
            TokenFault::SeedingRefused => Next::Operator(REST),
            TokenFault::PinRefused
            | TokenFault::PinHeld
            | TokenFault::GuardLost
            | TokenFault::PinNotSet => Next::Operator(OPERATOR),
            // To look at the flags costs no try, and nobody tells when they are gone.
            TokenFault::PinFlagged => Next::Operator(CEILING),
            TokenFault::Module => Next::RestartWorker,
            TokenFault::General if partition.general_errors >= GENERAL_ERRORS => {
                partition.general_errors = 0;
                Next::RestartWorker
            }
            _ if unclear => Next::TryAgain(CEILING / 2 + wait / 2),
            _ => Next::TryAgain(wait),
        }
    }
}
