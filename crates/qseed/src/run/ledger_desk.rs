//! The desk for the ledger: it hands the ledger what happened, and keeps what the log has only when
//! that is recorded.

use std::collections::VecDeque;

use qseed_engine::{Fact, Injection, Moment, Named, PartitionId, SourceId};
use qseed_http::Link;

use super::records::{Records, configured};
use crate::assemble::Plan;
use crate::ledger::{Ledger, Ticket};
use crate::log::Entry;
use crate::say::{self, Tokens};

#[derive(Debug)]
pub(super) struct LedgerDesk {
    pub(super) ledger: Ledger,
    records: Records,
    /// What the log has once the ledger has recorded so much.
    waiting: VecDeque<(Ticket, Vec<Fact>)>,
}

impl LedgerDesk {
    pub(super) fn new(ledger: Ledger, plan: &Plan) -> Self {
        ledger.record(configured(plan));
        Self {
            ledger,
            records: Records::new(plan),
            waiting: VecDeque::new(),
        }
    }

    /// Takes on a new configuration.
    pub(super) fn configure(&mut self, plan: &Plan) {
        self.records.configure(plan);
        self.ledger.record(configured(plan));
    }

    /// Takes in over which connection a source answered, before the engine hears of the answer.
    pub(super) fn answered(&mut self, source: SourceId, link: Option<&Link>) {
        self.records.answered(source, link);
    }

    /// Has it recorded that a seed is about to leave.
    pub(super) fn intend(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        injection: &Injection,
        tokens: &Tokens,
    ) {
        self.records.intend(now, partition, injection, tokens);
    }

    /// Takes in what happened. Returns whether the log waits for the record of it.
    pub(super) fn take(&mut self, now: Moment, fact: &Fact, tokens: &Tokens) -> bool {
        self.records.take(now, fact, tokens)
    }

    /// When records that were gathered are complete, if nothing happens before.
    pub(super) fn wake(&self) -> Option<Moment> {
        self.records.wake()
    }

    /// Hands the ledger what is complete. Seeds wait for their intents, so these are.
    pub(super) fn hand_over(&mut self, now: Moment) {
        self.records.due(now);
        self.records.complete_intents();
        while let Some(next) = self.records.next() {
            if next.intents.is_empty() {
                let ticket = self.ledger.record(next.body);
                if !next.facts.is_empty() {
                    self.waiting.push_back((ticket, next.facts));
                }
            } else {
                self.ledger.intend(next.intents, next.body);
            }
        }
    }

    /// What the log has now, since it is recorded.
    pub(super) fn recorded(&mut self) -> Vec<Fact> {
        let recorded = self.ledger.recorded();
        let ready = self
            .waiting
            .partition_point(|(ticket, _)| *ticket <= recorded);
        let facts = self.waiting.drain(..ready);
        facts.flat_map(|(_, facts)| facts).collect()
    }

    /// Hands the ledger everything, and has it sign its end. Returns what the log has still to say:
    /// facts, and of records that could not be written.
    pub(super) fn finish(&mut self, now: Moment, because: &str) -> (Vec<Fact>, Option<Entry>) {
        self.records.complete();
        self.hand_over(now);
        let unrecorded = self.ledger.finish(because);
        let entry =
            (unrecorded > 0).then(|| say::ledger::unrecorded(unrecorded, &self.ledger.file));
        (self.recorded(), entry)
    }
}
