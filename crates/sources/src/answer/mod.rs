//! Strict reading of what entropy services answer. Pure functions over bytes, for the adapters and
//! for fuzzing.

mod blocks;
mod capabilities;

pub use blocks::{entropy_limit, parse_entropy, parse_random};
pub use capabilities::{
    Capabilities, HealthTest, REPORT_LIMIT, parse_capabilities, parse_healthtest,
};

/// Why a body is not what was asked for. Positions and numbers only, never content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Not JSON, or more than one document.
    #[error("it is not valid JSON (line {line}, column {column})")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 at the beginning of a line.
        column: usize,
    },
    /// JSON, but of another form.
    #[error("it is JSON of another form (line {line}, column {column})")]
    Form {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 at the beginning of a line.
        column: usize,
    },
    /// The field is not there.
    #[error("the field `{0}` is missing")]
    MissingField(&'static str),
    /// The field is there twice.
    #[error("the field `{0}` stands there twice")]
    DuplicateField(&'static str),
    /// A value outside of its range.
    #[error("the field `{0}` is out of range")]
    OutOfRange(&'static str),
    /// Too few or too many blocks.
    #[error("{}{found} blocks came where {expected} were asked for", if found > expected { "at least " } else { "" })]
    BlockCount {
        /// As asked.
        expected: usize,
        /// As delivered; counting stops at the first one too many.
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
    /// A short word that stays the same, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "json",
            Self::Form { .. }
            | Self::MissingField(_)
            | Self::DuplicateField(_)
            | Self::OutOfRange(_) => "form",
            Self::Base64 { .. } => "base64",
            Self::BlockCount { .. } | Self::BlockLength { .. } => "length",
        }
    }

    /// Where the reader stopped. Its own text is left behind: it may quote the body.
    fn from_json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        if error.is_data() {
            Self::Form { line, column }
        } else {
            Self::Json { line, column }
        }
    }
}
