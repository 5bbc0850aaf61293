//! The lines of the guard's file, and what they add up to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use qseed_engine::guard::{PinRecord, Records};
use qseed_model::pins::{DevicePinTag, DeviceTag, KeyTag, PinTag, ProcessTag, Standing, TokenTag};
use serde::{Deserialize, Serialize};

/// The version of the file's form.
const VERSION: u32 = 2;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Header(Header),
    Record(RecordLine),
}

/// The first line, and again when something that it says has changed.
#[derive(Serialize, Deserialize)]
struct Header {
    guard: u32,
    /// Stands for the key that the tags are made with; none: none was used yet.
    key: Option<KeyTag>,
    /// The records up to this number were before this line.
    last: u64,
    /// So many of them follow: the others were replaced by later ones.
    kept: u64,
    /// Why records may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RecordLine {
    seq: u64,
    tag: PinTag,
    at_device: DevicePinTag,
    token: TokenTag,
    device: DeviceTag,
    partition: String,
    standing: Option<Standing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was: Option<Standing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<ProcessTag>,
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

/// What people want to know of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) since: Timestamp,
    /// What the token answered.
    pub(crate) answer: Option<String>,
}

/// What a guard's file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) records: Records,
    remarks: BTreeMap<PinTag, Remark>,
    /// Lines that were read.
    lines: u64,
    /// Records that the last header announced and that did not come yet.
    kept: u64,
}

impl Contents {
    /// Reads whole lines, and returns how many bytes they are. What is wrong with them counts as
    /// records that were lost; the others are kept.
    pub(super) fn read(&mut self, text: &[u8]) -> usize {
        let end = text.iter().rposition(|byte| *byte == b'\n');
        let whole = end.map_or(0, |end| end + 1);
        for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.lines += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(Line::Header(header)) => self.take_header(header),
                Ok(Line::Record(record)) => self.take_record(record),
                Err(_) => self.lose("is damaged"),
            }
        }
        whole
    }

    fn lose(&mut self, what: &str) {
        let line = self.lines;
        self.lose_once(&format!("line {line} of the PIN guard's file {what}"));
    }

    /// Records were lost; the first reason counts.
    pub(super) fn lose_once(&mut self, why: &str) {
        if self.records.lost().is_none() {
            self.records.lose(Some(why.to_owned()));
        }
    }

    fn take_header(&mut self, header: Header) {
        if header.guard != VERSION {
            self.lose("was written by another version of qseed");
        } else if self.lines > 1 && (self.kept > 0 || header.last != self.records.last()) {
            self.lose("does not follow the one before it");
        }
        self.kept = header.kept;
        self.records
            .count_from(header.last.max(self.records.last()));
        self.records.bind(header.key);
        if header.lost.is_some() {
            self.records.lose(header.lost);
        }
    }

    fn take_record(&mut self, line: RecordLine) {
        let last = self.records.last();
        let follows = match self.kept.checked_sub(1) {
            Some(left) => {
                self.kept = left;
                line.seq <= last
            }
            None => line.seq == last + 1,
        };
        if self.lines == 1 {
            self.lose("is no header");
        } else if !follows {
            self.lose("does not follow the one before it");
        }
        let remark = Remark {
            since: line.since,
            answer: line.answer,
        };
        let record = PinRecord {
            seq: line.seq,
            tag: line.tag,
            at_device: line.at_device,
            token: line.token,
            device: line.device,
            partition: line.partition.into(),
            standing: line.standing,
            was: line.was,
            by: line.by,
        };
        self.put(record, remark);
    }

    /// Whether the file ended before all that its header announced.
    pub(super) fn check_end(&mut self) {
        if self.lines == 0 || self.kept > 0 {
            self.lines += 1;
            self.lose("is missing");
        }
    }

    /// Takes a record in; returns what it replaces.
    pub(super) fn put(&mut self, record: PinRecord, remark: Remark) -> Option<(PinRecord, Remark)> {
        let tag = record.tag;
        let before = self.records.remove(tag);
        self.records.put(record);
        let remark = self.remarks.insert(tag, remark);
        before.zip(remark)
    }

    /// Takes in what other contents know and these do not, or only an earlier record of. Whether
    /// there was any such thing.
    pub(super) fn add_missing(&mut self, others: &Self) -> bool {
        let mut added = false;
        for record in others.records.iter() {
            let known = self.records.get(record.tag).map(|known| known.seq);
            if known.is_none_or(|seq| seq < record.seq)
                && let Some(remark) = others.remark(record.tag)
            {
                self.put(record.clone(), remark.clone());
                added = true;
            }
        }
        if self.records.key().is_none() {
            self.records.bind(others.records.key());
        }
        added
    }

    /// Takes a record out again, as if it had never been.
    pub(super) fn take_back(&mut self, tag: PinTag, before: Option<(PinRecord, Remark)>) {
        self.records.remove(tag);
        self.remarks.remove(&tag);
        if let Some((record, remark)) = before {
            self.put(record, remark);
        }
    }

    /// When a PIN's last record was made, and what the token had answered.
    pub(crate) fn remark(&self, tag: PinTag) -> Option<&Remark> {
        self.remarks.get(&tag)
    }

    /// The lines of a file that holds the last record of each PIN, but for cleared ones.
    pub(super) fn compact(&self) -> String {
        let kept = || self.records.iter().filter(|it| it.standing.is_some());
        let mut text = self.header(kept().count() as u64);
        let mut kept: Vec<_> = kept().collect();
        kept.sort_by_key(|record| record.seq);
        for record in kept {
            if let Some(remark) = self.remarks.get(&record.tag) {
                text.push_str(&line_of(record, remark));
            }
        }
        text
    }

    /// A header line.
    pub(super) fn header(&self, kept: u64) -> String {
        to_line(&Line::Header(Header {
            guard: VERSION,
            key: self.records.key(),
            last: self.records.last(),
            kept,
            lost: self.records.lost().map(str::to_owned),
        }))
    }
}

/// A record's line.
pub(super) fn line_of(record: &PinRecord, remark: &Remark) -> String {
    to_line(&Line::Record(RecordLine {
        seq: record.seq,
        tag: record.tag,
        at_device: record.at_device,
        token: record.token,
        device: record.device,
        partition: record.partition.to_string(),
        standing: record.standing,
        was: record.was,
        by: record.by,
        since: remark.since,
        answer: remark.answer.clone(),
    }))
}

fn to_line(line: &Line) -> String {
    let mut text = serde_json::to_string(line).expect("a line is plain data");
    text.push('\n');
    text
}
