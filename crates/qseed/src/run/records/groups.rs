//! Gathers injections that share everything but partition, token and duration.

use std::sync::Arc;
use std::time::Duration;

use qseed_engine::{Fact, Intent, Moment};
use qseed_ledger::record::{self, Body, Injection, Outcome, Partitions, Refused, Seed, Token};

use super::ToRecord;

/// The longest that an outcome waits for others.
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// The most injections in one record.
const INJECTIONS: usize = 500;
/// The most bytes that their partitions take in it, about. A line has 60,000 at most.
const BYTES: usize = 50_000;
/// The most records that are gathered at a time.
const GROUPS: usize = 100;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Intent,
    Seed,
    Refused {
        reason: &'static str,
        because: String,
    },
}

/// What the injections of a record share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) kind: Kind,
    pub(super) module: Arc<str>,
    pub(super) sources: Vec<record::Source>,
    pub(super) mix_local: bool,
    pub(super) bytes: u64,
    pub(super) checks: Vec<String>,
    pub(super) function: Option<&'static str>,
}

/// One injection.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) outcome: Outcome,
    pub(super) token: Option<Token>,
    /// The seed that leaves when it is recorded.
    pub(super) intent: Option<Intent>,
    /// What the log has when it is recorded.
    pub(super) fact: Option<Fact>,
}

#[derive(Debug)]
struct Group {
    shared: Shared,
    members: Vec<Member>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// When those that are no intents are complete.
    due: Option<Moment>,
}

impl Groups {
    /// Adds an injection. Returns the records that are complete.
    pub(super) fn add(&mut self, now: Moment, shared: Shared, member: Member) -> Vec<ToRecord> {
        let mut complete = Vec::new();
        let bytes = length(&member);
        let at = self.groups.iter().position(|group| group.shared == shared);
        let at = at.unwrap_or_else(|| {
            if self.groups.len() == GROUPS {
                complete.push(self.groups.remove(0).record());
            }
            self.groups.push(Group {
                shared,
                members: Vec::new(),
                bytes: 0,
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        if group.bytes + bytes > BYTES {
            complete.push(group.take());
        }
        group.bytes += bytes;
        group.members.push(member);
        if group.members.len() == INJECTIONS {
            complete.push(self.groups.remove(at).record());
        }
        self.due.get_or_insert(now + GATHERED_FOR);
        complete
    }

    /// When records are complete, if nothing happens before.
    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// The intents: seeds wait for them.
    pub(super) fn take_intents(&mut self) -> Vec<ToRecord> {
        let are_intents = |group: &mut Group| group.shared.kind == Kind::Intent;
        let intents = self.groups.extract_if(.., are_intents);
        let intents = intents.map(Group::record).collect();
        if self.groups.is_empty() {
            self.due = None;
        }
        intents
    }

    /// Everything that was gathered.
    pub(super) fn take_all(&mut self) -> Vec<ToRecord> {
        self.due = None;
        self.groups.drain(..).map(Group::record).collect()
    }
}

impl Group {
    fn take(&mut self) -> ToRecord {
        self.bytes = 0;
        record(self.shared.clone(), std::mem::take(&mut self.members))
    }

    fn record(self) -> ToRecord {
        record(self.shared, self.members)
    }
}

/// The record of several injections, or of one.
pub(super) fn record(shared: Shared, members: Vec<Member>) -> ToRecord {
    let mut intents = Vec::new();
    let mut facts = Vec::new();
    let mut all = Vec::with_capacity(members.len());
    for member in members {
        intents.extend(member.intent);
        facts.extend(member.fact);
        all.push((member.outcome, member.token));
    }
    let partitions = match <[_; 1]>::try_from(all) {
        Ok([(outcome, token)]) => Partitions::One { token, outcome },
        Err(all) => {
            let all = all.into_iter();
            Partitions::Many(
                all.map(|(outcome, token)| (outcome, token.map(|token| token.serial)))
                    .collect(),
            )
        }
    };
    let injection = Injection {
        partitions,
        module: shared.module.to_string(),
        sources: shared.sources,
        mix_local: shared.mix_local,
        bytes: shared.bytes,
        checks: shared.checks,
        function: shared.function.map(str::to_owned),
    };
    let body = match shared.kind {
        Kind::Intent => Body::Intent(record::Intent(injection)),
        Kind::Seed => Body::Seed(Seed(injection)),
        Kind::Refused { reason, because } => Body::Refused(Refused {
            injection,
            reason: reason.to_owned(),
            because,
        }),
    };
    ToRecord {
        body,
        intents,
        facts,
    }
}

/// The bytes that a partition takes in a record of several, at most: a character takes six where it
/// must be escaped.
fn length(member: &Member) -> usize {
    let Outcome { partition, ckr, .. } = &member.outcome;
    let texts = [
        Some(partition),
        ckr.as_ref(),
        member.token.as_ref().map(|token| &token.serial),
    ];
    let escaped = |text: &String| {
        let plain = |byte: u8| !byte.is_ascii_control() && !matches!(byte, b'"' | b'\\');
        let lengths = text.bytes().map(|byte| if plain(byte) { 1 } else { 6 });
        lengths.sum::<usize>()
    };
    let texts: usize = texts.into_iter().flatten().map(escaped).sum();
    // The names of its fields and their numbers.
    texts + 120
}
