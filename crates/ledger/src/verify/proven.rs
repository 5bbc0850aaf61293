//! Single records with their proofs: an export, or a `.tlog-proof` file.

use super::Given;
use super::finding::{Fault, Place};
use super::lines::Line;
use super::report::{Confirmed, Doubt, Report};
use super::signatures::{Enough, Kind, Signatures, Signed};
use crate::export::{END, Entry, Head as ExportHead};
use crate::key::VerifierKey;
use crate::proof::{HEADER, Proof};
use crate::record::{Body, Head, MAX_ENTRY};
use crate::tree::{Hash, leaf_hash, verify_inclusion};

/// The longest `.tlog-proof` file, in bytes: a record in base64, the proof and a note.
const LONGEST_PROOF: usize = 512 * 1024;

/// Verifies records that each come with a proof.
pub(super) struct Proven {
    here: Place,
    form: Form,
    /// Checkpoints that were given.
    given: Vec<(String, String)>,
    signatures: Signatures,
    /// The note that all of the proofs lead to.
    signed: Option<Signed>,
    /// The number after the last record's.
    next: u64,
    report: Report,
}

/// What the file is.
enum Form {
    Export {
        ended: bool,
    },
    /// A proof, with its text so far.
    Proof(String),
}

/// Whether a file that begins with this line is one of records with proofs.
pub(super) fn begins(first: &[u8]) -> bool {
    ExportHead::begins(first) || first == HEADER.as_bytes()
}

impl Proven {
    /// A verifier of the file that begins with this line.
    pub(super) fn new(first: &[u8], here: Place, given: Given) -> Self {
        let form = if ExportHead::begins(first) {
            Form::Export { ended: false }
        } else {
            Form::Proof(String::new())
        };
        Self {
            here,
            form,
            given: given.checkpoints,
            signatures: Signatures::new(given.keys, given.witnesses),
            signed: None,
            next: 0,
            report: Report {
                files: 1,
                ..Report::default()
            },
        }
    }

    /// Another file begins.
    pub(super) fn file(&mut self, here: Place) {
        self.here = here;
        self.find(Fault::Form("a file of proofs is verified alone".to_owned()));
    }

    pub(super) fn line(&mut self, line: &Line) {
        let Line::Whole(line) = *line else {
            return self.find(Fault::TooLong);
        };
        let number = self.here.line.unwrap_or(0) + 1;
        match &mut self.form {
            Form::Proof(text) if text.len() + line.len() > LONGEST_PROOF => {
                self.find(Fault::TooLong);
            }
            Form::Proof(text) => {
                text.push_str(&String::from_utf8_lossy(line));
                text.push('\n');
            }
            Form::Export { ended } => {
                self.here.line = Some(number);
                self.here.seq = None;
                if *ended {
                    self.find(Fault::Form("it comes after the end".to_owned()));
                } else if number == 1 {
                    self.head(line);
                } else if line == END.as_bytes() {
                    *ended = true;
                } else {
                    self.entry(line);
                }
            }
        }
    }

    /// The file ends.
    pub(super) fn finish(mut self) -> Report {
        match std::mem::replace(&mut self.form, Form::Export { ended: true }) {
            Form::Proof(text) => self.proof(&text),
            Form::Export { ended: false } => {
                self.here.seq = None;
                self.find(Fault::Short("the line that ends it is missing".to_owned()));
            }
            Form::Export { ended: true } => {}
        }
        self.compare();
        let mut report = self.report;
        report.size = self.next;
        if report.records == 0 {
            report.doubts.push(Doubt::Empty);
        }
        report.authenticated = self.signatures.authenticated();
        self.signatures.finish(Enough::OneKey, &mut report);
        report
    }

    fn head(&mut self, line: &[u8]) {
        match ExportHead::parse(line) {
            Ok(head) => {
                for key in &head.keys {
                    match key.parse() {
                        Ok(key) => self.announce(key),
                        Err(error) => self.find(Fault::Form(error.to_string())),
                    }
                }
                self.note(&head.note);
            }
            Err(error) => self.find(Fault::Form(error.to_string())),
        }
    }

    fn announce(&mut self, key: VerifierKey) {
        if self.signatures.announce(&key) {
            self.report.announced.push(key);
        }
    }

    fn entry(&mut self, line: &[u8]) {
        match Entry::parse(line) {
            Ok(Entry { index, line, proof }) => self.record(index, line.as_bytes(), &proof),
            Err(error) => self.find(Fault::Form(error.to_string())),
        }
    }

    fn proof(&mut self, text: &str) {
        match text.parse() {
            Ok(Proof {
                line: Some(line),
                index,
                hashes,
                note,
            }) => {
                self.note(&note.to_string());
                self.record(index, &line, &hashes);
            }
            Ok(Proof { line: None, .. }) => {
                let why = "it does not have the record that it is about (`extra`)";
                self.find(Fault::Short(why.to_owned()));
            }
            Err(error) => self.find(Fault::Form(error.to_string())),
        }
    }

    /// The note that all of the proofs lead to.
    fn note(&mut self, text: &str) {
        let signed = match Signed::parse(text) {
            Ok(signed) => signed,
            Err(error) => return self.find(Fault::Note(error)),
        };
        self.report.origin = Some(signed.checkpoint.origin.clone());
        let checked = self.signatures.check(&signed, Kind::Elsewhere, &self.here);
        if let Err(fault) = checked {
            self.find(fault);
        }
        self.signed = Some(signed);
    }

    fn record(&mut self, index: u64, line: &[u8], proof: &[Hash]) {
        self.here.seq = Some(index);
        let Some(Signed { checkpoint, .. }) = &self.signed else {
            return;
        };
        let leaf = leaf_hash(line);
        let holds = verify_inclusion(&leaf, index, checkpoint.size, proof, &checkpoint.root);
        if !holds || line.len() > MAX_ENTRY {
            return self.find(Fault::Inclusion);
        }
        if index < self.next {
            let expected = self.next;
            return self.find(Fault::OutOfOrder { expected });
        }
        let head = match Head::parse(line) {
            Ok(head) if head.seq == index => head,
            Ok(_) => return self.find(Fault::Form("`seq` is not its index".to_owned())),
            Err(error) => return self.find(Fault::Form(error.to_string())),
        };
        if self.report.records == 0 {
            self.report.first = index;
        }
        self.next = index + 1;
        self.report.records += 1;
        self.report.count(&head.event);
        match Body::parse(&head.event, line) {
            Ok(Some(body)) => self.report.add(&body),
            Ok(None) => {}
            Err(error) => self.find(Fault::Form(error.to_string())),
        }
    }

    /// Compares the checkpoints that were given with the one of the file, which must be the same.
    fn compare(&mut self) {
        for (file, note) in std::mem::take(&mut self.given) {
            let file = file.into();
            let mut find = |fault| self.report.find(Place::file(&file).finding(fault));
            let given = match Signed::parse(&note) {
                Ok(signed) => signed.checkpoint,
                Err(error) => {
                    find(Fault::Note(error));
                    continue;
                }
            };
            let Some(Signed { checkpoint, .. }) = &self.signed else {
                continue;
            };
            let size = given.size;
            if given.origin != checkpoint.origin {
                find(Fault::Origin {
                    found: given.origin,
                    expected: checkpoint.origin.clone(),
                });
            } else if size != checkpoint.size {
                self.report.doubts.push(Doubt::NotCompared {
                    file,
                    size,
                    proven: checkpoint.size,
                });
            } else if given.root == checkpoint.root {
                self.report.confirmed.push(Confirmed { file, size });
            } else {
                find(Fault::GivenRoot { size });
            }
        }
    }

    fn find(&mut self, fault: Fault) {
        self.report.find(self.here.finding(fault));
    }
}
