//! Verifies a ledger, offline and with nothing but its files, the keys and the checkpoints that the
//! verifier has from elsewhere.
//!
//! A [`Verifier`] takes the files of one ledger in their order, in pieces of any length, and keeps
//! little in memory: the right edge of the tree, and what is bounded by constants.

mod finding;
mod given;
mod intents;
mod lines;
mod proven;
mod report;
mod signatures;
mod walk;

pub use finding::{Fault, Finding, Place};
pub use report::{Confirmed, Doubt, OpenIntent, Report, Signer, Trust, Verdict};

use std::sync::Arc;

use crate::export::Entry;
use crate::key::VerifierKey;
use lines::{Line, Lines};
use proven::Proven;
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

/// Verifies the files of one ledger, or an export or a `.tlog-proof` file, which it knows by its
/// first line.
pub struct Verifier {
    lines: Lines,
    here: Place,
    stage: Stage,
}

/// What the files are.
enum Stage {
    /// Nothing was read yet.
    Start(Given),
    Ledger(Box<Walk>),
    Proven(Box<Proven>),
}

impl Verifier {
    /// Begins with nothing read.
    #[must_use]
    pub fn new(given: Given) -> Self {
        Self {
            lines: Lines::default(),
            here: Place::file(&Arc::from("")),
            stage: Stage::Start(given),
        }
    }

    /// The next file begins. The files of a ledger come in the order of their first records.
    pub fn file(&mut self, name: &str) {
        let rest = self.lines.rest();
        if !rest.is_empty() {
            self.stage.begin(&rest, &self.here);
        }
        self.here = Place::file(&Arc::from(name));
        match &mut self.stage {
            Stage::Start(_) => {}
            Stage::Ledger(walk) => walk.file(self.here.clone(), rest.len()),
            Stage::Proven(proven) => proven.file(self.here.clone()),
        }
    }

    /// The next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { lines, here, stage } = self;
        lines.feed(bytes, Entry::LONGEST, |line| stage.line(&line, here));
    }

    /// The last file ends.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let rest = self.lines.rest();
        self.stage.begin(&rest, &self.here);
        match self.stage {
            Stage::Start(_) => Report::default(),
            Stage::Ledger(walk) => walk.finish(rest.len()),
            Stage::Proven(mut proven) => {
                if !rest.is_empty() {
                    proven.line(&Line::Whole(&rest));
                }
                proven.finish()
            }
        }
    }
}

impl Stage {
    fn line(&mut self, line: &Line, here: &Place) {
        self.begin(line.start(), here);
        match self {
            Self::Start(_) => {}
            Self::Ledger(walk) => walk.line(line),
            Self::Proven(proven) => proven.line(line),
        }
    }

    /// Decides what the files are, by the first line.
    fn begin(&mut self, first: &[u8], here: &Place) {
        let Self::Start(given) = self else { return };
        let given = std::mem::take(given);
        *self = if proven::begins(first) {
            Self::Proven(Box::new(Proven::new(first, here.clone(), given)))
        } else {
            let mut walk = Box::new(Walk::new(given));
            walk.file(here.clone(), 0);
            Self::Ledger(walk)
        };
    }
}
