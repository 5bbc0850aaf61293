//! What the ledger has of the facts: a consumer that knows no file and no clock.
//!
//! With up to 100 partitions each fact is a record of its own, at once. Above that, injections of one
//! module that share everything but partition, token and duration are gathered into one record
//! (`groups.rs`): outcomes for up to a second, intents until the daemon waits for its next event.

mod configuration;
mod deliveries;
mod groups;
mod reasons;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use qseed_engine::checks::Check;
use qseed_engine::{
    Fact, FetchFault, Injection, Intent, MadeOf, Moment, Named, PartitionFact, PartitionId,
    Process, RequestId, SourceFact, SourceId, WorkerFact, WorkerRole,
};
use qseed_http::Link;
use qseed_ledger::record::{self, Body, Outcome};
use qseed_tokens::ckr::Ckr;
use qseed_tokens::directory::TokenInfo;

use crate::assemble::{EACH_UP_TO, Plan};
use crate::say::Tokens;
pub(super) use configuration::configured;
use deliveries::Deliveries;
use groups::{Groups, Kind, Member, Shared};
use reasons::{Refusal, SEED_RANDOM, why};

/// What goes to the ledger together.
#[derive(Debug)]
pub(super) struct ToRecord {
    pub(super) body: Body,
    /// The seeds that leave when it is on the disk.
    pub(super) intents: Vec<Intent>,
    /// What the log has when it is on the disk.
    pub(super) facts: Vec<Fact>,
}

#[derive(Debug)]
pub(super) struct Records {
    /// A seed leaves when its intent is recorded, and is in the log when its outcome is.
    required: bool,
    /// Partitions are so many that injections are gathered.
    gathers: bool,
    /// The modules' paths.
    modules: BTreeMap<PartitionId, Arc<str>>,
    deliveries: Deliveries,
    groups: Groups,
    ready: VecDeque<ToRecord>,
}

impl Records {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut new = Self {
            required: plan.records_first(),
            gathers: false,
            modules: BTreeMap::new(),
            deliveries: Deliveries::default(),
            groups: Groups::default(),
            ready: VecDeque::new(),
        };
        new.configure(plan);
        new
    }

    /// Takes on a new configuration. What is gone from it is known until the engine says so.
    pub(super) fn configure(&mut self, plan: &Plan) {
        self.gathers = plan.partitions.len() > EACH_UP_TO;
        for (id, source) in &plan.sources {
            self.deliveries.configure(*id, &source.config);
        }
        let mut paths: BTreeMap<_, Arc<str>> = BTreeMap::new();
        for (id, partition) in &plan.partitions {
            let path = partition.module.as_path();
            let path = paths
                .entry(path)
                .or_insert_with(|| path.to_string_lossy().into());
            self.modules.insert(*id, Arc::clone(path));
        }
        if !self.gathers {
            self.ready.extend(self.groups.take_all());
        }
    }

    /// Takes in over which connection a source answered, before the engine hears of the answer.
    pub(super) fn answered(&mut self, source: SourceId, link: Option<&Link>) {
        self.deliveries.answered(source, link);
    }

    /// Takes in that a seed is about to leave.
    pub(super) fn intend(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        injection: &Injection,
        tokens: &Tokens,
    ) {
        let shared = Shared {
            function: Some(SEED_RANDOM),
            ..self.shared(Kind::Intent, partition.id, Some(injection))
        };
        let intent = Some(Intent {
            partition: partition.id,
            job: injection.job,
        });
        let outcome = self.outcome(partition, Some(injection), None, None);
        let member = Member {
            intent,
            ..member(partition.id, outcome, tokens)
        };
        self.add(now, shared, member);
    }

    /// Takes in what happened. Returns whether the log waits for the record of it.
    pub(super) fn take(&mut self, now: Moment, fact: &Fact, tokens: &Tokens) -> bool {
        match fact {
            Fact::Source(source, fact) => self.source(source, fact),
            Fact::Partition(
                partition,
                PartitionFact::Seeded {
                    injection,
                    duration,
                    ..
                },
            ) => {
                let waits = self.required.then(|| fact.clone());
                self.seeded(now, partition, injection, *duration, waits, tokens);
                return self.required;
            }
            Fact::Partition(partition, fact) => self.partition(now, partition, fact, tokens),
            Fact::Worker(process, fact) => self.worker(process, fact),
            Fact::ReserveEmpty => {}
        }
        false
    }

    fn source(&mut self, source: &Named<SourceId>, fact: &SourceFact) {
        match fact {
            SourceFact::Delivered {
                request, checks, ..
            } => {
                self.deliveries.delivered(source.id, *request, checks);
            }
            SourceFact::DeliveryRejected {
                request,
                check,
                bytes,
                ..
            } => self.rejected(source, *request, *check, *bytes),
            SourceFact::FetchFailed {
                request, failure, ..
            } => {
                if let FetchFault::Invalid(check) = failure.kind {
                    self.rejected(source, *request, check, 0);
                }
            }
            SourceFact::Expired { .. }
            | SourceFact::BudgetLow { .. }
            | SourceFact::BudgetSpent { .. }
            | SourceFact::Removed => {}
        }
    }

    fn rejected(
        &mut self,
        source: &Named<SourceId>,
        RequestId(request): RequestId,
        check: Check,
        bytes: usize,
    ) {
        self.push(Body::Rejected(record::Rejected {
            source: source.name.to_string(),
            request,
            check: check.name().to_owned(),
            bytes: bytes as u64,
        }));
    }

    fn partition(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        fact: &PartitionFact,
        tokens: &Tokens,
    ) {
        match fact {
            PartitionFact::Opened { duration } => self.push(Body::Opened(record::Opened {
                partition: partition.name.to_string(),
                module: self.module(partition.id).to_string(),
                token: tokens.get(&partition.id).map(token),
                duration_us: micros(*duration),
            })),
            PartitionFact::Failed {
                spent,
                failure,
                duration,
                ..
            } => {
                let refusal = Refusal::of(failure, *duration);
                self.refused(now, partition, spent.as_ref(), refusal, tokens);
            }
            PartitionFact::SeedLost { injection, given } => {
                self.refused(
                    now,
                    partition,
                    Some(injection),
                    Refusal::lost(*given),
                    tokens,
                );
            }
            PartitionFact::StateChanged {
                state,
                before: Some(before),
            } => self.push(Body::State(record::State {
                partition: partition.name.to_string(),
                state: state.name().to_owned(),
                before: Some(before.name().to_owned()),
            })),
            PartitionFact::Removed => {
                self.modules.remove(&partition.id);
            }
            PartitionFact::Seeded { .. }
            | PartitionFact::StateChanged { before: None, .. }
            | PartitionFact::Late { .. }
            | PartitionFact::Mended
            | PartitionFact::Moved { .. } => {}
        }
    }

    fn seeded(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        injection: &Injection,
        duration: Duration,
        waits: Option<Fact>,
        tokens: &Tokens,
    ) {
        let shared = Shared {
            function: Some(SEED_RANDOM),
            ..self.shared(Kind::Seed, partition.id, Some(injection))
        };
        let ckr = Some(Ckr(0).to_string());
        let outcome = self.outcome(partition, Some(injection), ckr, Some(duration));
        let member = Member {
            fact: waits,
            ..member(partition.id, outcome, tokens)
        };
        self.add(now, shared, member);
    }

    fn refused(
        &mut self,
        now: Moment,
        partition: &Named<PartitionId>,
        spent: Option<&Injection>,
        refusal: Refusal,
        tokens: &Tokens,
    ) {
        let kind = Kind::Refused {
            reason: refusal.reason,
            because: refusal.because,
        };
        let shared = Shared {
            function: refusal.function,
            ..self.shared(kind, partition.id, spent)
        };
        let outcome = self.outcome(partition, spent, refusal.ckr, refusal.duration);
        self.add(now, shared, member(partition.id, outcome, tokens));
    }

    fn worker(&mut self, process: &Process, fact: &WorkerFact) {
        let (state, because) = match fact {
            WorkerFact::Started => ("started", None),
            WorkerFact::Failed { failure, .. } => ("failed", Some(why(failure))),
            WorkerFact::Ended => ("ended", None),
            WorkerFact::Stuck => ("stuck", None),
            WorkerFact::Recovered => return,
        };
        let role = match process.role {
            WorkerRole::Common => "common",
            WorkerRole::Slow => "slow",
            WorkerRole::Quarantine => "quarantine",
        };
        self.push(Body::Worker(record::Worker {
            module: process.module.name.to_string(),
            role: role.to_owned(),
            state: state.to_owned(),
            because,
        }));
    }

    fn module(&self, partition: PartitionId) -> Arc<str> {
        let module = self.modules.get(&partition);
        module.cloned().unwrap_or_else(|| Arc::from(""))
    }

    /// What injections have in common that may share a record.
    fn shared(&self, kind: Kind, partition: PartitionId, injection: Option<&Injection>) -> Shared {
        let nothing = MadeOf::default();
        let made_of = injection.map_or(&nothing, |injection| &injection.made_of);
        Shared {
            kind,
            module: self.module(partition),
            sources: self.deliveries.sources_of(made_of),
            mix_local: made_of.mix_local,
            bytes: injection.map_or(0, |injection| injection.bytes as u64),
            checks: self.deliveries.checks_of(made_of),
            function: None,
        }
    }

    fn outcome(
        &self,
        partition: &Named<PartitionId>,
        injection: Option<&Injection>,
        ckr: Option<String>,
        duration: Option<Duration>,
    ) -> Outcome {
        let job = injection.filter(|_| self.required);
        Outcome {
            partition: partition.name.to_string(),
            ckr,
            duration_us: duration.map(micros),
            job: job.map(|injection| injection.job.0),
        }
    }

    fn push(&mut self, body: Body) {
        self.ready.push_back(ToRecord {
            body,
            intents: Vec::new(),
            facts: Vec::new(),
        });
    }

    fn add(&mut self, now: Moment, shared: Shared, member: Member) {
        if self.gathers {
            let complete = self.groups.add(now, shared, member);
            self.ready.extend(complete);
        } else {
            self.ready.push_back(groups::record(shared, vec![member]));
        }
    }

    /// When [`Self::due`] completes records, if nothing happens before.
    pub(super) fn wake(&self) -> Option<Moment> {
        self.groups.due()
    }

    /// Completes what was gathered for long enough.
    pub(super) fn due(&mut self, now: Moment) {
        if self.groups.due().is_some_and(|at| at <= now) {
            self.complete();
        }
    }

    /// Completes the intents, for which seeds wait.
    pub(super) fn complete_intents(&mut self) {
        self.ready.extend(self.groups.take_intents());
    }

    /// Completes everything that was gathered.
    pub(super) fn complete(&mut self) {
        self.ready.extend(self.groups.take_all());
    }

    /// The next record that is complete.
    pub(super) fn next(&mut self) -> Option<ToRecord> {
        self.ready.pop_front()
    }
}

/// A token as the ledger describes it.
/// One injection, for which nothing waits.
fn member(partition: PartitionId, outcome: Outcome, tokens: &Tokens) -> Member {
    Member {
        outcome,
        token: tokens.get(&partition).map(token),
        intent: None,
        fact: None,
    }
}

fn token(token: &TokenInfo) -> record::Token {
    record::Token {
        label: token.label.clone(),
        serial: token.serial.clone(),
        model: token.model.clone(),
        firmware: Some(token.firmware.to_string()),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
