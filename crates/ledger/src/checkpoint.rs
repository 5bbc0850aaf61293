//! Checkpoints: what is signed of the tree (<https://c2sp.org/tlog-checkpoint>).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::tree::Hash;

/// The state of a ledger: the text of the note that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger it is.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree of these leaves.
    pub root: Hash,
}

/// The note's text: three lines, each with its newline.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root);
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

/// Reads the text of a note. Lines after the third are refused: ours have none, and not every signature
/// covers them.
impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ""] = lines[..] else {
            return Err(Error::Checkpoint("it needs three lines"));
        };
        if origin.is_empty() {
            return Err(Error::Checkpoint("its origin is empty"));
        }
        let read = Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or(Error::Checkpoint("its second line is not a size"))?,
            root: hash(root).ok_or(Error::Checkpoint("its third line is not a root"))?,
        };
        Ok(read)
    }
}

/// A number without leading zeros or sign.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
