//! A ledger that must have a record of each seed before the seed leaves.
//!
//! A seed takes its call slot only when its record is synced, so that one sync serves all partitions
//! that are due together. A seed whose partition is closed meanwhile is dropped.

use qseed_entropy::Seed;

use super::Fleet;
use super::partition::{Phase, Waits};
use crate::action::Action;
use crate::context::Context;
use crate::fact::PartitionFact;
use crate::ids::{Intent, PartitionId};
use crate::reservoir::Injection;

/// What partitions say while they wait for the ledger.
pub(super) const NOT_RECORDED: &str = "the ledger does not take a record of the seed, so qseed does not inject it (`audit.mode: \
     required`)";

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Whether a seed leaves only after the ledger has recorded that it will.
    pub(super) comes_first: bool,
    /// It cannot be written.
    is_out: bool,
}

impl Ledger {
    /// Whether no seed may be made.
    pub(super) fn holds_back(&self) -> bool {
        self.comes_first && self.is_out
    }
}

impl Fleet {
    /// Takes in whether a seed leaves only after the ledger has recorded that it will.
    pub(crate) fn record_first(&mut self, context: &mut Context, first: bool) {
        let held_back = self.ledger.holds_back();
        let no_more = std::mem::replace(&mut self.ledger.comes_first, first) && !first;
        self.review_if_held_back_changed(context, held_back);
        if no_more {
            self.drop_intended(context);
        }
    }

    /// Whether no seed may be made, since the ledger cannot be written.
    pub(crate) fn is_held_back(&self) -> bool {
        self.ledger.holds_back()
    }

    /// Takes in whether the ledger can be written.
    pub(crate) fn set_ledger_writable(&mut self, context: &mut Context, writable: bool) {
        let held_back = self.ledger.holds_back();
        self.ledger.is_out = !writable;
        self.review_if_held_back_changed(context, held_back);
    }

    fn review_if_held_back_changed(&mut self, context: &mut Context, before: bool) {
        let held_back = self.ledger.holds_back();
        if held_back == before {
            return;
        }
        let waits = |phase: &Phase| matches!(phase, Phase::Ready | Phase::Intended { .. });
        for id in self.those_that(waits) {
            if context.once && held_back {
                self.wait_for_seed(context, id);
            } else {
                self.review(context, id);
            }
        }
    }

    fn those_that(&self, are: impl Fn(&Phase) -> bool) -> Vec<PartitionId> {
        let partitions = self.partitions.iter();
        let those = partitions.filter(|(_, partition)| are(&partition.phase));
        those.map(|(id, _)| *id).collect()
    }

    /// Has the ledger record a seed before it leaves.
    pub(super) fn intend(
        &mut self,
        context: &mut Context,
        id: PartitionId,
        injection: Injection,
        seed: Seed,
    ) {
        let key = self.partition(id).worker;
        self.worker(key).leave_queue(Waits::ForSeed, id);
        context.act(Action::RecordIntent {
            partition: id,
            injection: injection.clone(),
        });
        let phase = Phase::Intended {
            injection,
            seed,
            recorded: false,
        };
        self.set_phase(context, id, phase);
    }

    /// The ledger has recorded seeds, or could not.
    pub(crate) fn intents_recorded(
        &mut self,
        context: &mut Context,
        intents: &[Intent],
        done: bool,
    ) {
        if !done {
            self.set_ledger_writable(context, false);
        }
        for intent in intents {
            let id = intent.partition;
            let Some(partition) = self.partitions.get_mut(&id) else {
                continue;
            };
            let key = partition.worker;
            match &mut partition.phase {
                Phase::Intended {
                    injection,
                    recorded,
                    ..
                } if injection.job == intent.job && !*recorded => *recorded = done,
                _ => continue,
            }
            if done {
                self.worker(key).recorded.push_back(id);
                self.review(context, id);
            } else {
                self.wait_for_seed(context, id);
            }
        }
    }

    /// Drops the seeds that have not left.
    pub(crate) fn drop_intended(&mut self, context: &mut Context) {
        for id in self.those_that(|phase| matches!(phase, Phase::Intended { .. })) {
            self.wait_for_seed(context, id);
        }
    }

    /// Gives up the seeds that workers did not answer for.
    pub(crate) fn drop_unanswered(&mut self, context: &mut Context) {
        for id in self.those_that(|phase| matches!(phase, Phase::Seeding(_))) {
            self.set_phase(context, id, Phase::Closed);
        }
    }

    /// Gives the next seed that is recorded to its worker. Returns whether there is one that a
    /// worker can take now.
    pub(crate) fn seed_next_recorded(&mut self, context: &mut Context) -> bool {
        if self.ledger.holds_back() {
            return false;
        }
        let workers = self.workers.iter();
        let with_some = workers.filter(|(_, worker)| !worker.recorded.is_empty());
        let mut keys: Vec<_> = with_some.map(|(key, _)| *key).collect();
        keys.retain(|key| !self.opens_first(*key));
        let next = keys
            .into_iter()
            .find_map(|key| self.first_waiting(key, Waits::ForCall));
        let Some(id) = next else {
            return false;
        };
        let phase = std::mem::replace(&mut self.partition(id).phase, Phase::Idle);
        let Phase::Intended {
            injection, seed, ..
        } = phase
        else {
            unreachable!("that is what it waits with");
        };
        self.inject(context, (id, Waits::ForCall), injection, seed);
        true
    }

    /// A partition moved on from a seed that its token did not answer for.
    pub(super) fn lose_seed(&mut self, context: &mut Context, id: PartitionId, before: Phase) {
        let (injection, given) = match before {
            Phase::Intended { injection, .. } => (injection, false),
            Phase::Seeding(injection) => (injection, true),
            _ => return,
        };
        let lost = PartitionFact::SeedLost { injection, given };
        self.emit(context, id, lost);
    }
}
