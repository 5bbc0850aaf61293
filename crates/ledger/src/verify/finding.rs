//! What a verifier finds wrong.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub fault: Fault,
}

/// A place in the files that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// The line, from 1; none: it is about the file as a whole.
    pub line: Option<u64>,
    /// The record's number, if it is known.
    pub seq: Option<u64>,
}

impl Place {
    /// A whole file.
    pub(super) fn file(file: &Arc<str>) -> Self {
        Self {
            file: Arc::clone(file),
            line: None,
            seq: None,
        }
    }

    pub(super) fn finding(&self, fault: Fault) -> Finding {
        Finding {
            place: self.clone(),
            fault,
        }
    }
}

/// `file:line: record seq: what`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, seq } = &self.place;
        write!(f, "{file}:")?;
        if let Some(line) = line {
            write!(f, "{line}:")?;
        }
        if let Some(seq) = seq {
            write!(f, " record {seq}:")?;
        }
        write!(f, " {}", self.fault)
    }
}

/// What can be wrong with a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// A line is no record.
    #[error("this line is no record of a ledger: {0}")]
    Form(String),
    /// A line is longer than any record.
    #[error("this line is longer than a record can be")]
    TooLong,
    /// A file that another one follows does not end with a newline.
    #[error("the file ends within a record")]
    Cut,
    /// Records are missing before this one.
    #[error("{} before this one", missing(*first, *last))]
    Missing {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A number that was there before.
    #[error("this record was inserted, repeated or moved: record {expected} should stand here")]
    OutOfOrder {
        /// The number that should stand here.
        expected: u64,
    },
    /// `prev` is not the hash of the line before.
    #[error(
        "`prev` is not the SHA-256 of the line before: one of the two lines was changed, or lines between them were removed"
    )]
    Prev,
    /// The records are not those that were signed.
    #[error(
        "the root signed here is not that of the records before: one from {from} on was changed, inserted or removed"
    )]
    Root {
        /// The records before this one are those that were signed.
        from: u64,
    },
    /// The records are not those that a witness cosigned.
    #[error(
        "the witness cosigned another tree of {size} records: one of them was changed, inserted or removed"
    )]
    WitnessedRoot {
        /// The size of the witness's tree.
        size: u64,
    },
    /// A checkpoint's own fields contradict each other.
    #[error("`size` and `root` are not those of the note, or `size` is not the record's number")]
    CheckpointFields,
    /// A frontier that does not belong to its root.
    #[error("`frontier` is not that of the signed root")]
    Frontier,
    /// A note that is none, or whose signature is false.
    #[error("its note does not hold: {0}")]
    Note(crate::Error),
    /// A key that must have signed a note did not.
    #[error("its note is not signed by {key}")]
    Unsigned {
        /// The name and identifier of the key.
        key: String,
    },
    /// A record of another ledger.
    #[error("this belongs to another ledger, {found}; the ledger here is {expected}")]
    Origin {
        /// Its origin.
        found: String,
        /// The ledger's origin.
        expected: String,
    },
    /// A ledger that begins within itself.
    #[error("a ledger begins here, in the middle of another one")]
    BeginsAgain,
    /// The first record neither begins nor continues a ledger.
    #[error(
        "the first record does not begin a ledger (`began`) and does not continue one (`continued`): what it follows is unknown, so that its checkpoints cannot be checked"
    )]
    NoStart,
    /// A checkpoint that was given is of another ledger's tree.
    #[error(
        "the ledger is not the one of this checkpoint: at {size} records it has another root, so a record before that was changed, inserted or removed"
    )]
    GivenRoot {
        /// The checkpoint's size.
        size: u64,
    },
    /// A checkpoint that was given covers more than there is.
    #[error(
        "this checkpoint covers {size} records, and {records} of them are here: the end was cut off, or records were removed"
    )]
    GivenSize {
        /// The checkpoint's size.
        size: u64,
        /// The ledger's.
        records: u64,
    },
    /// A proof that does not prove.
    #[error("the proof does not hold: the record is not in the tree that was signed")]
    Inclusion,
    /// A file that is cut short.
    #[error("the file is cut short: {0}")]
    Short(String),
}

fn missing(first: u64, last: u64) -> String {
    if first == last {
        format!("record {first} is missing")
    } else {
        format!("the records {first} to {last} are missing")
    }
}
