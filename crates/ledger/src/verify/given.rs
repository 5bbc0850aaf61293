//! Checkpoints that the verifier was given: what the ledger must continue.

use std::sync::Arc;

use super::finding::{Fault, Place};
use super::report::{Confirmed, Doubt, Report};
use super::signatures::{Kind, Signatures, Signed};
use crate::tree::Frontier;

/// The checkpoints that were given, the smallest first.
#[derive(Default)]
pub(super) struct GivenCheckpoints {
    waiting: Vec<(Arc<str>, Signed)>,
    /// How many of them the tree has reached.
    reached: usize,
}

impl GivenCheckpoints {
    /// Reads the notes, each with the name of the file that it was in.
    pub(super) fn new(notes: Vec<(String, String)>, report: &mut Report) -> Self {
        let mut waiting = Vec::new();
        for (file, note) in notes {
            let file: Arc<str> = file.into();
            match Signed::parse(&note) {
                Ok(signed) => waiting.push((file, signed)),
                Err(error) => report.find(Place::file(&file).finding(Fault::Note(error))),
            }
        }
        waiting.sort_by_key(|(_, signed)| signed.checkpoint.size);
        let reached = 0;
        Self { waiting, reached }
    }

    /// The ledger's first record here has this number.
    pub(super) fn start(&mut self, first: u64, report: &mut Report) {
        while let Some((file, signed)) = self.waiting.get(self.reached) {
            let size = signed.checkpoint.size;
            if size >= first {
                break;
            }
            self.reached += 1;
            report.doubts.push(Doubt::CheckpointTooOld {
                file: Arc::clone(file),
                size,
                first,
            });
        }
    }

    /// Compares those that have the size of the tree.
    pub(super) fn compare(
        &mut self,
        tree: &Frontier,
        signatures: &mut Signatures,
        report: &mut Report,
    ) {
        while let Some((file, signed)) = self.waiting.get(self.reached) {
            let size = signed.checkpoint.size;
            if size > tree.size() {
                break;
            }
            self.reached += 1;
            match judge(file, signed, tree, signatures, report) {
                Ok(()) => report.confirmed.push(Confirmed {
                    file: Arc::clone(file),
                    size,
                }),
                Err(fault) => report.find(Place::file(file).finding(fault)),
            }
        }
    }

    /// Those that the tree did not reach.
    pub(super) fn finish(&self, records: u64, report: &mut Report) {
        for (file, signed) in &self.waiting[self.reached..] {
            let size = signed.checkpoint.size;
            let fault =
                another_origin(signed, report).unwrap_or(Fault::GivenSize { size, records });
            report.find(Place::file(file).finding(fault));
        }
    }
}

fn judge(
    file: &Arc<str>,
    signed: &Signed,
    tree: &Frontier,
    signatures: &mut Signatures,
    report: &Report,
) -> Result<(), Fault> {
    if let Some(fault) = another_origin(signed, report) {
        return Err(fault);
    }
    let size = signed.checkpoint.size;
    if signed.checkpoint.root != tree.root() {
        return Err(Fault::GivenRoot { size });
    }
    signatures.check(signed, Kind::Elsewhere, &Place::file(file))
}

fn another_origin(signed: &Signed, report: &Report) -> Option<Fault> {
    let expected = report.origin.clone()?;
    let found = signed.checkpoint.origin.clone();
    (found != expected).then_some(Fault::Origin { found, expected })
}
