//! A strong checkpoint: the one that leaves the host.

use std::str::FromStr;

use qseed_ledger::Error;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::note::Note;

/// A signed checkpoint.
#[derive(Debug)]
pub(super) struct Strong {
    pub(super) note: Note,
    pub(super) checkpoint: Checkpoint,
}

impl Strong {
    /// Whether it is a later one of the same ledger.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        let (this, other) = (&self.checkpoint, &other.checkpoint);
        this.origin == other.origin && this.size > other.size
    }
}

impl FromStr for Strong {
    type Err = Error;

    fn from_str(note: &str) -> Result<Self, Error> {
        let note: Note = note.parse()?;
        let checkpoint = note.text().parse()?;
        Ok(Self { note, checkpoint })
    }
}
