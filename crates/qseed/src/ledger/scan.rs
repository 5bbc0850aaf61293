//! Reads the ledger's file from its beginning, and says how far it can be continued.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use qseed_ledger::record::{Body, Chain, Head, MAX_ENTRY, Record};
use qseed_ledger::tree::{Frontier, Hash};

/// A tree that the ledger must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) size: u64,
    pub(super) root: Hash,
}

/// What the first record of a file says.
#[derive(Clone, Debug)]
pub(super) struct First {
    pub(super) origin: String,
    pub(super) keys: Vec<String>,
    pub(super) seq: u64,
    /// The origin before, if the first record began this one.
    pub(super) previous: Option<String>,
    /// The signed checkpoint of all records before, if there are some.
    pub(super) note: Option<String>,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) first: First,
    /// The end of the records that follow each other.
    pub(super) chain: Chain,
    /// The bytes that these records take.
    pub(super) good: u64,
    /// The bytes of the file.
    pub(super) length: u64,
    /// The checkpoints in it.
    pub(super) checkpoints: u64,
    /// Whether a checkpoint is the last record.
    pub(super) ends_in_checkpoint: bool,
    /// What is wrong with the first record that does not follow.
    pub(super) fault: Option<Fault>,
    /// Those of the marks that it does not contain, with the reason.
    pub(super) missing: Vec<(Mark, &'static str)>,
}

/// What follows the good records.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: String,
    /// No record stands after it: the end of a file that was being written.
    pub(super) is_torn: bool,
}

/// Reads a file, up to record `until` if there is one. None: it has no first record that could
/// begin a file.
pub(super) fn scan(file: &File, marks: &[Mark], until: Option<u64>) -> io::Result<Option<Scan>> {
    let length = file.metadata()?.len();
    let mut lines = Lines::of(file)?;
    if !lines.next()? {
        return Ok(None);
    }
    let Some((first, mut chain)) = begin(&lines.line) else {
        return Ok(None);
    };
    let mut scan = Scan {
        missing: Vec::new(),
        checkpoints: 0,
        ends_in_checkpoint: false,
        good: lines.length(),
        length,
        fault: None,
        chain: Chain::new(),
        first,
    };
    let mut marks = marks.to_vec();
    // The note in the first record stands for what is before it.
    marks.retain(|mark| mark.size > scan.first.seq);
    chain.push(&lines.line);
    check_marks(&mut marks, &chain, &mut scan.missing);
    while until.is_none_or(|until| chain.seq() < until) && lines.next()? {
        match follows(&lines.line, &chain) {
            Ok(is_checkpoint) => {
                scan.checkpoints += u64::from(is_checkpoint);
                scan.ends_in_checkpoint = is_checkpoint;
                chain.push(&lines.line);
                scan.good += lines.length();
                check_marks(&mut marks, &chain, &mut scan.missing);
            }
            Err(what) => {
                let is_torn = !lines.has_record()?;
                scan.fault = Some(Fault { what, is_torn });
                break;
            }
        }
    }
    if scan.fault.is_none() && scan.good < length {
        let what = match until {
            Some(until) if chain.seq() >= until => "this process did not write it",
            _ => "the last record has no end",
        };
        let what = what.to_owned();
        let is_torn = true;
        scan.fault = Some(Fault { what, is_torn });
    }
    let too_large = marks
        .into_iter()
        .map(|mark| (mark, "records are missing at its end"));
    scan.missing.extend(too_large);
    scan.chain = chain;
    Ok(Some(scan))
}

/// Takes out the marks that the tree has reached.
fn check_marks(marks: &mut Vec<Mark>, chain: &Chain, missing: &mut Vec<(Mark, &'static str)>) {
    marks.retain(|mark| {
        if mark.size > chain.seq() {
            return true;
        }
        if mark.root != chain.frontier().root() {
            missing.push((*mark, "records were changed"));
        }
        false
    });
}

/// Reads the first record, and the end of what was before it.
pub(super) fn begin(line: &[u8]) -> Option<(First, Chain)> {
    let record = Record::parse(line).ok()?;
    match record.body {
        Body::Began(began) if record.seq == 0 && record.prev.is_none() => {
            let first = First {
                origin: began.origin,
                keys: began.keys,
                seq: 0,
                previous: began.previous.map(|previous| previous.origin),
                note: None,
            };
            Some((first, Chain::new()))
        }
        Body::Continued(continued) if record.seq == continued.size => {
            let frontier = Frontier::from_parts(continued.size, continued.frontier).ok()?;
            if frontier.root() != continued.root {
                return None;
            }
            let first = First {
                origin: continued.origin,
                keys: continued.keys,
                seq: record.seq,
                previous: None,
                note: Some(continued.note),
            };
            Some((first, Chain::after(frontier, record.prev)))
        }
        _ => None,
    }
}

/// Whether a line is the next record, and a checkpoint; or what is wrong with it.
fn follows(line: &[u8], chain: &Chain) -> Result<bool, String> {
    let head = Head::parse(line).map_err(|why| why.to_string())?;
    if head.seq != chain.seq() {
        return Err(format!(
            "record {} stands where {} should",
            head.seq,
            chain.seq()
        ));
    }
    if head.prev.as_ref() != chain.prev() {
        return Err("it does not follow the record before".to_owned());
    }
    if head.event != "checkpoint" {
        return Ok(false);
    }
    match Record::parse(line).map(|record| record.body) {
        Ok(Body::Checkpoint(checkpoint))
            if checkpoint.size == chain.seq() && checkpoint.root == chain.frontier().root() =>
        {
            Ok(true)
        }
        Ok(_) => Err("the checkpoint is not of the records before it".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// The lines of a file.
pub(super) struct Lines<'f> {
    reader: BufReader<&'f File>,
    /// The last line, without its newline.
    line: Vec<u8>,
}

impl<'f> Lines<'f> {
    /// From its beginning.
    pub(super) fn of(mut file: &'f File) -> io::Result<Self> {
        file.rewind()?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 16, file),
            line: Vec::new(),
        })
    }

    /// The last line that was read, without its newline.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Reads the next whole line. One that is longer than any record counts as whole.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        self.line.clear();
        let most = MAX_ENTRY as u64 + 1;
        (&mut self.reader)
            .take(most)
            .read_until(b'\n', &mut self.line)?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(true);
        }
        Ok(self.line.len() as u64 == most)
    }

    /// The bytes of the last line with its newline.
    fn length(&self) -> u64 {
        self.line.len() as u64 + 1
    }

    /// Whether the last line or one after it is a record.
    fn has_record(&mut self) -> io::Result<bool> {
        loop {
            if Head::parse(&self.line).is_ok() {
                return Ok(true);
            }
            if !self.next()? {
                return Ok(false);
            }
        }
    }
}
