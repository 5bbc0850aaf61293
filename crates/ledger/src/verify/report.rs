//! What a verifier found out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::finding::Finding;
use crate::key::{Algorithm, VerifierKey};
use crate::record::{Body, Injection, Previous};

/// Most findings that are kept; further ones are counted.
const MOST_FINDINGS: usize = 1000;

/// Most names of events that are counted by name. This version knows fewer.
const MOST_EVENTS: usize = 64;

/// What a verifier found out about the files of one ledger, or about an export or a proof.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The ledger's origin, as it says itself.
    pub origin: Option<String>,
    /// The keys that the ledger says are its own. That proves nothing.
    pub announced: Vec<VerifierKey>,
    /// The ledger before this one, if this one could not continue it.
    pub previous: Option<Previous>,
    /// The files read.
    pub files: u64,
    /// The number of the first record; more than 0: files before were pruned, or were not given.
    pub first: u64,
    /// The records read.
    pub records: u64,
    /// The number of the last record, plus one.
    pub size: u64,
    /// How many records there are of each event.
    pub events: BTreeMap<String, u64>,
    /// The seeds that tokens accepted.
    pub seeds: u64,
    /// The injections and openings that failed.
    pub refusals: u64,
    /// What each key signed.
    pub signers: Vec<Signer>,
    /// The given checkpoints that the ledger continues.
    pub confirmed: Vec<Confirmed>,
    /// The records from here on are covered by no signature of a given key.
    pub authenticated: u64,
    /// The bytes of a last record that is not complete: the daemon is writing it, or was killed
    /// while it wrote it. They are not part of the ledger.
    pub torn: u64,
    /// The seeds whose intent has no outcome: they may have been injected. The newest may still be
    /// under way.
    pub open_intents: Vec<OpenIntent>,
    /// The intents without outcome that did not fit into the list.
    pub more_open_intents: u64,
    /// The records that could not be written and are lost, as the ledger says itself.
    pub lost: u64,
    /// How often a damaged end was cut off, as the ledger says itself.
    pub recoveries: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The findings that did not fit into the list.
    pub more_findings: u64,
    /// What nothing proves, though nothing contradicts it.
    pub doubts: Vec<Doubt>,
}

/// What a key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The key.
    pub key: VerifierKey,
    /// Where the key comes from.
    pub trust: Trust,
    /// How many notes it signed.
    pub notes: u64,
    /// The size of the largest tree that it signed.
    pub size: u64,
    /// The time of the newest of its signatures, if they have one, in seconds since 1970.
    pub time: Option<u64>,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The verifier was given it as the ledger's.
    Given,
    /// The verifier was given it as a witness's.
    Witness,
    /// The ledger names it.
    Announced,
}

/// A given checkpoint that the ledger continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The file that it was in.
    pub file: Arc<str>,
    /// Its size.
    pub size: u64,
}

/// An intent without an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// The intent's number.
    pub seq: u64,
    /// The partition.
    pub partition: String,
    /// The number of the injection.
    pub job: u64,
}

/// What nothing proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// There is no record.
    Empty,
    /// No key was given.
    NoKey,
    /// A key that was given is of another ledger.
    AnotherLedger {
        /// The key.
        key: VerifierKey,
        /// The ledger that was read has the same public key: one daemon wrote both.
        same_public_key: bool,
    },
    /// A key that was given signed nothing.
    SignedNothing(VerifierKey),
    /// A witness whose key was given cosigned nothing.
    NotWitnessed(VerifierKey),
    /// A given checkpoint ends before the first record that is here.
    CheckpointTooOld {
        /// The file that it was in.
        file: Arc<str>,
        /// Its size.
        size: u64,
        /// The number of the first record.
        first: u64,
    },
    /// A given checkpoint is not the one that the proofs lead to.
    NotCompared {
        /// The file that it was in.
        file: Arc<str>,
        /// Its size.
        size: u64,
        /// The size of the one that the proofs lead to.
        proven: u64,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no record"),
            Self::NoKey => f.write_str("no key was given: anyone can have written and signed this"),
            Self::AnotherLedger {
                key,
                same_public_key: false,
            } => write!(f, "the key of {} is not this ledger's", key.name()),
            Self::AnotherLedger {
                key,
                same_public_key: true,
            } => write!(
                f,
                "the key is that of {}, another ledger of the same daemon",
                key.name()
            ),
            Self::SignedNothing(key) => {
                write!(f, "{} was given and signed nothing here", key_name(key))
            }
            Self::NotWitnessed(key) => {
                write!(f, "the witness {} cosigned nothing here", key.name())
            }
            Self::CheckpointTooOld { file, size, first } => write!(
                f,
                "{file}: the ledger cannot be compared with this checkpoint of {size} records, \
                 since the records before {first} are not here"
            ),
            Self::NotCompared { file, size, proven } => write!(
                f,
                "{file}: the proofs are for the checkpoint of {proven} records and cannot be \
                 compared with this one of {size}"
            ),
        }
    }
}

/// A key's name, algorithm and identifier.
pub(super) fn key_name(key: &VerifierKey) -> String {
    let id = u32::from_be_bytes(key.id());
    let algorithm = match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ed25519Cosignature => "Ed25519",
        Algorithm::MlDsa44Cosignature => "ML-DSA-44",
    };
    format!("the {algorithm} key {}+{id:08x}", key.name())
}

/// What to make of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything holds, and keys that were given signed it.
    Holds,
    /// Nothing is wrong, but the keys that were given do not prove it.
    NotAuthenticated,
    /// Something was changed.
    Changed,
}

impl Report {
    /// What to make of it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.findings.is_empty() {
            Verdict::Changed
        } else if !self.doubts.is_empty() {
            Verdict::NotAuthenticated
        } else {
            Verdict::Holds
        }
    }

    pub(super) fn find(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }

    /// Adds what a record says.
    pub(super) fn add(&mut self, body: &Body) {
        let number = |injection: &Injection| injection.outcomes().count() as u64;
        match body {
            Body::Seed(seed) => self.seeds += number(&seed.0),
            Body::Refused(refused) => self.refusals += number(&refused.injection),
            Body::Lost(lost) => self.lost = self.lost.saturating_add(lost.records),
            Body::Recovered(_) => self.recoveries += 1,
            _ => {}
        }
    }

    pub(super) fn count(&mut self, event: &str) {
        if let Some(count) = self.events.get_mut(event) {
            *count += 1;
        } else if self.events.len() < MOST_EVENTS {
            self.events.insert(event.to_owned(), 1);
        }
    }
}
