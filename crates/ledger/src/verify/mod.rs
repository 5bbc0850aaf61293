//! Verifies a ledger, offline and with nothing but its files, the keys and the checkpoints that the
//! verifier has from elsewhere.
//!
//! A [`Verifier`] takes the files of one ledger in their order, in pieces of any length, and keeps
//! little in memory: the right edge of the tree, and what is bounded by constants.

mod finding;
mod given;
mod intents;
mod lines;
mod report;
mod signatures;
mod walk;

pub use finding::{Fault, Finding, Place};
pub use report::{Confirmed, Doubt, OpenIntent, Report, Signer, Trust, Verdict};

use crate::key::VerifierKey;
use crate::record::MAX_ENTRY;
use lines::Lines;
use walk::Walk;

/// What the verifier has from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The ledger's keys. Keys of other origins do no harm.
    pub keys: Vec<VerifierKey>,
    /// The keys of witnesses that should have cosigned it.
    pub witnesses: Vec<VerifierKey>,
    /// Checkpoints that the ledger must continue: signed notes, each with a name for it.
    pub checkpoints: Vec<(String, String)>,
}

/// Verifies the files of one ledger.
pub struct Verifier {
    lines: Lines,
    walk: Walk,
}

impl Verifier {
    /// Begins with nothing read.
    #[must_use]
    pub fn new(given: Given) -> Self {
        Self {
            lines: Lines::default(),
            walk: Walk::new(given),
        }
    }

    /// The next file begins. The files come in the order of their first records.
    pub fn file(&mut self, name: &str) {
        self.walk.file(name, self.lines.torn());
    }

    /// The next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { lines, walk } = self;
        lines.feed(bytes, MAX_ENTRY, |line| walk.line(&line));
    }

    /// The last file ends.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.walk.finish(self.lines.torn())
    }
}
