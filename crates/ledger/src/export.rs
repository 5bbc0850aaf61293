//! Records of a ledger with a proof of each, which verify without the rest of the ledger.
//!
//! An export is one JSON document in which each record has a line of its own, so that it is written
//! and read line by line however long it is:
//!
//! ```json
//! {"format":"qseed-export@v1","keys":["…"],"note":"…","records":[
//! {"index":41,"line":"{\"seq\":41,…}","proof":["…"]},
//! {"index":57,"line":"{\"seq\":57,…}","proof":["…"]}
//! ]}
//! ```
//!
//! `line` is the record's line without its newline, and so the leaf of the tree at `index`; `proof`
//! leads from it to the root in the checkpoint that `note` is. It shows that the records are in the
//! ledger, and not that these are all of them.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::record::base64_list;
use crate::tree::Hash;

const FORMAT: &str = "qseed-export@v1";

/// What ends the first line.
const BEFORE_RECORDS: &str = ",\"records\":[";

/// The last line.
pub const END: &str = "]}";

/// How an export begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    format: String,
    /// The keys that the ledger says are its own. That proves nothing.
    pub keys: Vec<String>,
    /// The signed checkpoint that the proofs lead to.
    pub note: String,
}

impl Head {
    /// The head of an export.
    #[must_use]
    pub fn new(keys: Vec<String>, note: String) -> Self {
        let format = FORMAT.to_owned();
        Self { format, keys, note }
    }

    /// Whether a file that begins with this line says that it is an export.
    #[must_use]
    pub fn begins(line: &[u8]) -> bool {
        line.starts_with(b"{\"format\":")
    }

    /// The first line, without a newline.
    ///
    /// # Panics
    /// Never: a head is JSON.
    #[must_use]
    pub fn line(&self) -> String {
        let head = serde_json::to_string(self).expect("a head is JSON");
        let open = head.strip_suffix('}').expect("it is an object");
        format!("{open}{BEFORE_RECORDS}")
    }

    /// Reads the first line, without its newline.
    ///
    /// # Errors
    /// If no export begins with it.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        const WRONG: Error = Error::Export("its first line is not that of an export");
        let head = line.strip_suffix(BEFORE_RECORDS.as_bytes()).ok_or(WRONG)?;
        let head = [head, b"}"].concat();
        let head: Self = serde_json::from_slice(&head).map_err(|_| WRONG)?;
        if head.format == FORMAT {
            Ok(head)
        } else {
            Err(Error::Export(
                "it has a format that this version does not know",
            ))
        }
    }
}

/// A record with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The record's number in the tree.
    pub index: u64,
    /// Its line, without a newline.
    pub line: String,
    /// The way from its leaf to the root.
    #[serde(with = "base64_list")]
    pub proof: Vec<Hash>,
}

impl Entry {
    /// The longest line, in bytes: a record in which each byte is escaped, and the longest proof.
    pub const LONGEST: usize = 6 * crate::record::MAX_ENTRY + 8 * 1024;

    /// Its line of the export, without a newline. A comma comes behind all but the last.
    ///
    /// # Panics
    /// Never: an entry is JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("an entry is JSON")
    }

    /// Reads a line between the first and the last, without its newline, with or without the comma.
    ///
    /// # Errors
    /// If it is no record with its proof.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        let entry = line.strip_suffix(b",").unwrap_or(line);
        let entry = serde_json::from_slice(entry);
        entry.map_err(|_| Error::Export("a line is no record with its proof"))
    }
}

#[cfg(test)]
mod tests {
    use super::{END, Entry, Head};

    #[test]
    fn an_export_is_one_document_that_is_read_line_by_line() {
        let head = Head::new(vec!["key".to_owned()], "o\n1\nx\n\n— }]} y\n".to_owned());
        let entry = |index| Entry {
            index,
            line: format!("{{\"seq\":{index},\"label\":\"a\\u001b\\\"\"}}"),
            proof: vec![[7; 32], [8; 32]],
        };
        let lines = [
            head.line(),
            entry(1).line() + ",",
            entry(2).line(),
            END.to_owned(),
        ];
        let document: serde_json::Value = serde_json::from_str(&lines.join("\n")).expect("JSON");
        assert_eq!(document["records"][1]["index"], 2);
        assert!(Head::begins(lines[0].as_bytes()));
        assert_eq!(Head::parse(lines[0].as_bytes()), Ok(head));
        assert_eq!(Entry::parse(lines[1].as_bytes()), Ok(entry(1)));
        assert_eq!(Entry::parse(lines[2].as_bytes()), Ok(entry(2)));
        for wrong in [
            "",
            "{}",
            "{\"format\":\"other\",\"keys\":[],\"note\":\"\",\"records\":[",
        ] {
            assert!(Head::parse(wrong.as_bytes()).is_err(), "{wrong}");
            assert!(Entry::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
