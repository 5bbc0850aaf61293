//! Strict reading of what entropy services answer. Pure functions over bytes, for the adapters and
//! for fuzzing.

mod blocks;
mod capabilities;

use qseed_model::Check;
use serde::Deserialize;

pub use blocks::{entropy_limit, parse_entropy, parse_random};
pub use capabilities::{
    Capabilities, HealthTest, REPORT_LIMIT, parse_capabilities, parse_healthtest,
};

/// Why a body is not what was asked for. Positions and numbers only, never content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Not JSON, more than one document, or JSON of another form.
    #[error("it is not valid JSON of this interface's form (line {line}, column {column})")]
    Form {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 at the beginning of a line.
        column: usize,
    },
    /// The field is not there.
    #[error("the field `{0}` is missing")]
    MissingField(&'static str),
    /// A value outside of its range.
    #[error("the field `{0}` is out of range")]
    OutOfRange(&'static str),
    /// Too few or too many blocks.
    #[error("{found} blocks came where {expected} were asked for")]
    BlockCount {
        /// As asked.
        expected: usize,
        /// As delivered.
        found: usize,
    },
    /// A block that is not canonical base64 with padding (RFC 4648 section 4).
    #[error("block {block} is not valid base64: {why}")]
    Base64 {
        /// Counted from 1.
        block: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A block that is too short or too long.
    #[error("block {block} has {found} bytes where {expected} were asked for")]
    BlockLength {
        /// Counted from 1.
        block: usize,
        /// Bytes, as asked.
        expected: usize,
        /// Bytes, as delivered.
        found: usize,
    },
}

impl AnswerError {
    /// The delivery check that such an answer fails.
    #[must_use]
    pub fn check(&self) -> Check {
        match self {
            Self::Form { .. } | Self::MissingField(_) | Self::OutOfRange(_) => Check::Form,
            Self::Base64 { .. } => Check::Base64,
            Self::BlockCount { .. } | Self::BlockLength { .. } => Check::Length,
        }
    }
}

/// The reader's own error is left behind, but for its place: it may quote the body.
fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, AnswerError> {
    serde_json::from_slice(body).map_err(|error| AnswerError::Form {
        line: error.line(),
        column: error.column(),
    })
}
