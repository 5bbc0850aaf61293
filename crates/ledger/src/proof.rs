//! The proof of one record in a file of its own (<https://c2sp.org/tlog-proof>).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::checkpoint::{Checkpoint, decimal, hash};
use crate::note::Note;
use crate::tree::{Hash, leaf_hash, verify_inclusion};

/// The first line.
pub(crate) const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes on the way to a root: the height of the largest tree.
const MOST_HASHES: usize = 64;

/// What shows, together with the keys, that a record is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The record's line, so that the file says what it proves. Without it, the line comes from elsewhere.
    pub line: Option<Vec<u8>>,
    /// The record's number.
    pub index: u64,
    /// The way from the leaf to the root.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub note: Note,
}

impl Proof {
    /// Whether the line is in the tree of the checkpoint, which is returned. Who signed it is another question:
    /// [`signers`](crate::key::signers) answers it.
    pub fn check(&self, line: &[u8]) -> Result<Checkpoint, Error> {
        let checkpoint: Checkpoint = self.note.text().parse()?;
        let leaf = leaf_hash(line);
        let Checkpoint { size, root, .. } = checkpoint;
        if !verify_inclusion(&leaf, self.index, size, &self.hashes, &root) {
            return Err(Error::NotIncluded { index: self.index });
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(line) = &self.line {
            writeln!(f, "extra {}", STANDARD.encode(line))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Proof {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (head, note) = text
            .split_once("\n\n")
            .ok_or(Error::Proof("no empty line comes before its checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(Error::Proof(
                "it does not begin with c2sp.org/tlog-proof@v1",
            ));
        }
        let line = lines.next_if(|line| line.starts_with("extra "));
        let line = line.map(|line| STANDARD.decode(&line["extra ".len()..]));
        let line = line
            .transpose()
            .map_err(|_| Error::Proof("its extra data are not in base64"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index
            .and_then(decimal)
            .ok_or(Error::Proof("it says no index"))?;
        let hashes = lines.take(MOST_HASHES + 1).map(hash);
        let hashes: Option<Vec<Hash>> = hashes.collect();
        let hashes = hashes
            .filter(|hashes| hashes.len() <= MOST_HASHES)
            .ok_or(Error::Proof(
                "a line between index and checkpoint is no hash",
            ))?;
        Ok(Self {
            line,
            index,
            hashes,
            note: note.parse()?,
        })
    }
}
