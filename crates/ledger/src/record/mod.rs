//! Records: the lines of a ledger.
//!
//! A line is one JSON object without blanks or newlines between its fields: `seq`, `time`, `event`,
//! then the fields of the event, and last `prev`. A field whose value is not known is `null`. A
//! reader skips fields that it does not know, so a later version may add some.

mod body;
mod chain;
mod encoding;
mod injection;

use serde::{Deserialize, Serialize};

pub use body::{
    Anchored, Began, Body, Checkpoint, Configured, ConfiguredSource, Continued, Lost, Opened,
    Previous, Recovered, Rejected, Started, State, Stopped, Witnessed, Worker,
};
pub use chain::Chain;
pub(crate) use encoding::base64_list;
pub use encoding::line_hash;
pub use injection::{Injection, Intent, Outcome, Partitions, Refused, Seed, Serial, Source, Token};

use crate::tree::Hash;

/// The longest line that a maker writes, in bytes. A line must fit into an entry bundle of
/// tlog-tiles, which holds up to [`MAX_ENTRY`] bytes; the rest is for fields of later versions.
pub const MAX_LINE: usize = 60_000;

/// The longest line that can be an entry of tlog-tiles, in bytes.
pub const MAX_ENTRY: usize = 65_535;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its number: the leaf's index in the tree, from 0.
    pub seq: u64,
    /// The host's time when the record was made, as RFC 3339 in UTC. The clock may have been set
    /// back between two records.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
    /// The SHA-256 of the line before, without its newline; none for the first record.
    #[serde(with = "encoding::hex")]
    pub prev: Option<Hash>,
}

/// Why a line is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the JSON object that a record is.
    #[error("not a record: {0}")]
    Form(#[from] serde_json::Error),
    /// `time` is not RFC 3339 in UTC.
    #[error("`time` is not an RFC 3339 time in UTC")]
    Time,
    /// An event that this version does not know.
    #[error("an event that this version of qseed does not know: {0:?}")]
    Event(String),
}

impl Record {
    /// Reads a line without its newline.
    ///
    /// # Errors
    /// If it is no record, or one of a later version.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        let head = Head::parse(line)?;
        let body = Body::parse(&head.event, line)?;
        Ok(Self {
            seq: head.seq,
            time: head.time,
            body: body.ok_or(RecordError::Event(head.event))?,
            prev: head.prev,
        })
    }

    /// The line, without a newline.
    ///
    /// # Panics
    /// Never: a record has no map with keys that are not strings.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a record is JSON")
    }
}

/// What each line has, whatever its event.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// See [`Record::seq`].
    pub seq: u64,
    /// See [`Record::time`].
    pub time: String,
    /// The name of the event.
    pub event: String,
    /// See [`Record::prev`].
    #[serde(with = "encoding::hex")]
    pub prev: Option<Hash>,
}

impl Head {
    /// Reads what each line has and skips the rest.
    ///
    /// # Errors
    /// If the line is no JSON object with these fields, each once.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        let head: Self = serde_json::from_slice(line)?;
        if is_rfc_3339_utc(&head.time) {
            Ok(head)
        } else {
            Err(RecordError::Time)
        }
    }
}

/// Whether this is a time such as `2024-02-29T15:49:11.050Z`, with any number of decimals.
fn is_rfc_3339_utc(time: &str) -> bool {
    let form = b"dddd-dd-ddTdd:dd:dd";
    let bytes = time.as_bytes();
    let Some((whole, rest)) = bytes.split_at_checked(form.len()) else {
        return false;
    };
    let decimals = match rest {
        [b'Z'] => true,
        [b'.', decimals @ .., b'Z'] => {
            !decimals.is_empty() && decimals.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    decimals
        && form.iter().zip(whole).all(|(form, byte)| match form {
            b'd' => byte.is_ascii_digit(),
            _ => form == byte,
        })
}

#[cfg(test)]
mod tests;
