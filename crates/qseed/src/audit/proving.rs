//! A ledger and its newest checkpoint, and the proofs that lead from its records to it.

use std::ops::ControlFlow;
use std::path::Path;

use qseed_ledger::blocks::{Blocks, Proofs};
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::note::Note;
use qseed_ledger::record::{Body, Record};
use qseed_ledger::tree::{Frontier, Hash, leaf_hash};

use super::lines::Line;
use super::set::Set;
use super::walk::{Item, Place, unreadable_part, walk};
use crate::exit::{Code, Failure};

/// A ledger whose records are what its newest checkpoint signs.
pub(crate) struct Provable {
    set: Set,
    /// The first record that is here.
    pub(crate) first: u64,
    /// The keys that the ledger says are its own.
    pub(crate) keys: Vec<String>,
    pub(crate) note: Note,
    pub(crate) checkpoint: Checkpoint,
    proofs: Proofs,
}

/// How the first record of a set begins it.
pub(crate) struct Beginning {
    pub(crate) origin: String,
    pub(crate) keys: Vec<String>,
    before: Frontier,
}

impl Provable {
    /// Reads a ledger once, or twice if its newest checkpoint has no file.
    ///
    /// # Errors
    /// [`Code::Changed`] where the records are not those that were signed.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let set = Set::of(file)?;
        set.must_be_files()?;
        let beginning = beginning(&set)?;
        let signed = set.signed.iter().filter_map(|(_, note)| parsed(note));
        let of_this = signed.filter(|(_, checkpoint)| checkpoint.origin == beginning.origin);
        let (note, checkpoint) = match of_this.max_by_key(|(_, checkpoint)| checkpoint.size) {
            Some(newest) => newest,
            None => last_checkpoint(&set)?,
        };
        let first = beginning.before.size();
        let mut blocks = Blocks::new(&beginning.before);
        signed_lines(&set, first, checkpoint.size, |_, line| {
            blocks.append(leaf_hash(line));
            Ok(ControlFlow::Continue(()))
        })?;
        let tree = blocks.tree();
        if (tree.size(), tree.root()) != (checkpoint.size, checkpoint.root) {
            let (records, signed) = (tree.size(), checkpoint.size);
            return Err(changed(
                &file.display().to_string(),
                &format!(
                    "its {records} records are not the {signed} that its newest checkpoint signs"
                ),
            ));
        }
        Ok(Self {
            set,
            first,
            keys: beginning.keys,
            note,
            checkpoint,
            proofs: blocks.finish(),
        })
    }

    /// Gives each record to `visit`, with its number.
    pub(crate) fn each(&self, visit: impl FnMut(u64, &[u8]) -> Step) -> Result<(), Failure> {
        signed_lines(&self.set, self.first, self.checkpoint.size, visit)
    }

    /// Gives each record that `choose` makes something of to `visit`, with its proof.
    pub(crate) fn prove<T>(
        &mut self,
        mut choose: impl FnMut(u64, &[u8]) -> Option<T>,
        mut visit: impl FnMut(u64, T, Vec<Hash>) -> Step,
    ) -> Result<(), Failure> {
        let Self {
            set,
            first,
            checkpoint,
            proofs,
            ..
        } = self;
        let mut chosen = Vec::new();
        signed_lines(set, *first, checkpoint.size, |seq, line| {
            chosen.extend(choose(seq, line).map(|it| (seq, it)));
            if proofs.read(leaf_hash(line)) {
                for (seq, it) in chosen.drain(..) {
                    let proof = proofs
                        .inclusion(seq)
                        .map_err(|why| Failure::internal("no proof", why))?;
                    if visit(seq, it, proof)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Whether to go on.
type Step = Result<ControlFlow<()>, Failure>;

/// Gives the lines of the records that are signed to `visit`, each with its number.
fn signed_lines(
    set: &Set,
    first: u64,
    size: u64,
    mut visit: impl FnMut(u64, &[u8]) -> Step,
) -> Result<(), Failure> {
    let mut seq = first;
    walk(set, |place, item| {
        if seq >= size {
            return Ok(ControlFlow::Break(()));
        }
        let step = visit(seq, whole(place, &item)?)?;
        seq += 1;
        Ok(step)
    })
}

fn whole<'a>(place: Place<'_>, item: &Item<'a>) -> Result<&'a [u8], Failure> {
    match item {
        Item::Line(Line::Whole(line)) => Ok(line),
        Item::Line(Line::Torn(_) | Line::TooLong) => {
            Err(changed(&place.to_string(), "this is no record"))
        }
        Item::Unreadable(why) => Err(unreadable_part(place, why)),
    }
}

fn changed(place: &str, what: &str) -> Failure {
    let text = format!("{place}: {what}; see what was changed: qseed audit verify");
    Failure::new(Code::Changed, text)
}

/// What the first record says.
pub(crate) fn beginning(set: &Set) -> Result<Beginning, Failure> {
    let mut found = None;
    walk(set, |place, item| {
        let none = || {
            changed(
                &place.to_string(),
                "the first record begins no ledger and continues none",
            )
        };
        let record = Record::parse(whole(place, &item)?).map_err(|_| none())?;
        found = Some(match record.body {
            Body::Began(began) => Beginning {
                origin: began.origin,
                keys: began.keys,
                before: Frontier::new(),
            },
            Body::Continued(continued) => Beginning {
                origin: continued.origin,
                keys: continued.keys,
                before: Frontier::from_parts(continued.size, continued.frontier)
                    .map_err(|_| none())?,
            },
            _ => return Err(none()),
        });
        Ok(ControlFlow::Break(()))
    })?;
    found.ok_or_else(|| {
        let text = "the ledger has no records yet; the daemon writes them when it runs";
        Failure::new(Code::TryLater, text)
    })
}

/// The newest checkpoint among the records.
fn last_checkpoint(set: &Set) -> Result<(Note, Checkpoint), Failure> {
    let mut last = None;
    walk(set, |_, item| {
        let Item::Line(Line::Whole(line)) = item else {
            return Ok(ControlFlow::Continue(()));
        };
        let note = match Record::parse(line).map(|record| record.body) {
            Ok(Body::Checkpoint(checkpoint)) => checkpoint.note,
            Ok(Body::Continued(continued)) => continued.note,
            _ => return Ok(ControlFlow::Continue(())),
        };
        last = parsed(&note).or(last.take());
        Ok(ControlFlow::Continue(()))
    })?;
    last.ok_or_else(|| {
        let text =
            "the ledger has no checkpoint yet; the daemon signs one a minute, so try again then";
        Failure::new(Code::TryLater, text)
    })
}

fn parsed(note: &str) -> Option<(Note, Checkpoint)> {
    let note: Note = note.parse().ok()?;
    let checkpoint = note.text().parse().ok()?;
    Some((note, checkpoint))
}
