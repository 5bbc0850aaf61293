//! What a guard's file says: its lines, and what they add up to.

use qseed_model::pins::{KeyTag, PinTag};
use serde::{Deserialize, Serialize};

use super::{PinRecord, Records};

/// The version of the file's form.
const VERSION: u32 = 2;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Header(Header),
    Record(PinRecord),
}

/// The first line, and again when something in it has changed.
#[derive(Serialize, Deserialize)]
struct Header {
    guard: u32,
    /// Stands for the key that the tags are made with; none: no PIN was presented yet.
    key: Option<KeyTag>,
    /// The number of the last record before this line.
    last: u64,
    /// How many of those records follow. Later ones replaced the others.
    kept: u64,
    /// Why records may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

/// What a guard's file says.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The last record of each PIN.
    pub records: Records,
    /// Lines that were read.
    lines: u64,
    /// Records that the last header announced and that did not come yet.
    kept: u64,
}

impl Contents {
    /// What a whole file says. A last line without its end does not count: it was never synced, so
    /// what it records never happened.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let end = text.iter().rposition(|byte| *byte == b'\n');
        let mut contents = Self::default();
        contents.read(&text[..end.map_or(0, |end| end + 1)]);
        if contents.kept > 0 {
            contents.lines += 1;
            contents.lose_line("is missing");
        }
        contents
    }

    /// Whether there are no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Reads further lines. If one is wrong, records were lost; the others are kept.
    pub fn read(&mut self, text: &[u8]) {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            self.lines += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(Line::Header(header)) => self.take_header(header),
                Ok(Line::Record(record)) => self.take_record(record),
                Err(_) => self.lose_line("is damaged"),
            }
        }
    }

    fn lose_line(&mut self, what: &str) {
        let line = self.lines;
        self.lose(&format!("line {line} of the PIN guard's file {what}"));
    }

    /// Records were lost. The first reason counts.
    pub fn lose(&mut self, why: &str) {
        if self.records.lost().is_none() {
            self.records.lose(Some(why.to_owned()));
        }
    }

    fn take_header(&mut self, header: Header) {
        if header.guard != VERSION {
            self.lose_line("was written by another version of qseed");
        } else if self.lines > 1 && (self.kept > 0 || header.last != self.records.last()) {
            self.lose_line("does not follow the one before it");
        }
        self.kept = header.kept;
        self.records
            .count_from(header.last.max(self.records.last()));
        self.records.bind(header.key);
        if header.lost.is_some() {
            self.records.lose(header.lost);
        }
    }

    fn take_record(&mut self, record: PinRecord) {
        let last = self.records.last();
        let follows = match self.kept.checked_sub(1) {
            Some(left) => {
                self.kept = left;
                record.seq <= last
            }
            None => last.checked_add(1) == Some(record.seq),
        };
        if self.lines == 1 {
            self.lose_line("is no header");
        } else if !follows {
            self.lose_line("does not follow the one before it");
        }
        self.records.put(record);
    }

    /// Adds what other contents know and these do not, or know only an earlier record of. Whether
    /// there was any such thing.
    pub fn add_missing(&mut self, others: &Self) -> bool {
        let mut added = false;
        for record in others.records.iter() {
            let known = self.records.get(record.tag).map(|known| known.seq);
            if known.is_none_or(|seq| seq < record.seq) {
                self.records.put(record.clone());
                added = true;
            }
        }
        if self.records.key().is_none() {
            self.records.bind(others.records.key());
        }
        added
    }

    /// Takes a record back, as if it had never been made.
    pub fn take_back(&mut self, tag: PinTag, before: Option<PinRecord>) {
        self.records.remove(tag);
        if let Some(record) = before {
            self.records.put(record);
        }
    }

    /// The lines of a file that holds the last record of each PIN, but for cleared ones.
    #[must_use]
    pub fn compact(&self) -> String {
        let kept = self.records.iter().filter(|it| it.standing.is_some());
        let mut kept: Vec<_> = kept.collect();
        kept.sort_by_key(|record| record.seq);
        let mut text = self.header(kept.len() as u64);
        for record in kept {
            text.push_str(&line_of(record));
        }
        text
    }

    /// A header line, which announces as many records.
    #[must_use]
    pub fn header(&self, kept: u64) -> String {
        to_line(&Header {
            guard: VERSION,
            key: self.records.key(),
            last: self.records.last(),
            kept,
            lost: self.records.lost().map(str::to_owned),
        })
    }
}

/// A record's line.
#[must_use]
pub fn line_of(record: &PinRecord) -> String {
    to_line(record)
}

fn to_line(line: &impl Serialize) -> String {
    let mut text = serde_json::to_string(line).expect("a line is plain data");
    text.push('\n');
    text
}
