//! Makes the next line of a ledger.

use super::{Body, Record, line_hash};
use crate::tree::{Frontier, Hash, leaf_hash};

/// The end of a ledger: all that its next line needs.
///
/// A copy of it is a way back: a maker whose lines did not reach the disk goes on from the copy
/// that it took before.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    frontier: Frontier,
    prev: Option<Hash>,
}

impl Chain {
    /// The end of a ledger that has no line yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The end of a ledger after the records of `frontier`, the last of which has the SHA-256
    /// `prev`; none: there is none.
    #[must_use]
    pub fn after(frontier: Frontier, prev: Option<Hash>) -> Self {
        Self { frontier, prev }
    }

    /// The next record's number, which is the number of records so far.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.frontier.size()
    }

    /// The tree of the records so far.
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The SHA-256 of the last line.
    #[must_use]
    pub fn prev(&self) -> Option<&Hash> {
        self.prev.as_ref()
    }

    /// Makes the next line, without a newline. `time` is RFC 3339 in UTC.
    pub fn next(&mut self, time: &str, body: Body) -> String {
        let record = Record {
            seq: self.seq(),
            time: time.to_owned(),
            body,
            prev: self.prev,
        };
        let line = record.line();
        self.push(line.as_bytes());
        line
    }

    /// Goes on past a line that exists, without a newline.
    pub fn push(&mut self, line: &[u8]) {
        self.frontier.append(leaf_hash(line));
        self.prev = Some(line_hash(line));
    }
}
