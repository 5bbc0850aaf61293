//! What a record with a note says of the records before it.

use super::{Order, ROOTS, Walk};
use crate::record::{Checkpoint, Continued, Witnessed};
use crate::tree::{Frontier, Hash};
use crate::verify::finding::Fault;
use crate::verify::signatures::{Kind, Signed};

impl Walk {
    pub(super) fn continued(&mut self, continued: &Continued, order: Order, begins: bool) {
        if begins {
            self.know(&continued.origin, &continued.keys);
        }
        match self.frontier_of(continued) {
            Ok((signed, frontier)) => {
                let is_whole = order == Order::Next && !begins && !self.unsound;
                let holds = self.tree.as_ref() == Some(&frontier);
                if is_whole && self.tree.is_some() && !holds {
                    self.find(Fault::Root { from: self.sound });
                }
                self.sign(&signed, Kind::Strong);
                if !holds {
                    self.enter(frontier);
                }
                self.agree(continued.size, continued.root);
            }
            Err(fault) => self.find(fault),
        }
    }

    /// The frontier that a file begins with, if its note is of the ledger and of this frontier.
    fn frontier_of(&self, continued: &Continued) -> Result<(Signed, Frontier), Fault> {
        let Continued { size, root, .. } = continued;
        let signed = self.note(&continued.note, *size, root)?;
        if self.here.seq != Some(*size) {
            return Err(Fault::CheckpointFields);
        }
        let frontier = Frontier::from_parts(*size, continued.frontier.clone());
        let frontier = frontier.map_err(|_| Fault::Frontier)?;
        if frontier.root() != *root {
            return Err(Fault::Frontier);
        }
        Ok((signed, frontier))
    }

    pub(super) fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { size, root, note } = checkpoint;
        let signed = match self.note(note, *size, root) {
            Ok(signed) => signed,
            Err(fault) => return self.find(fault),
        };
        let Some(tree) = &self.tree else { return };
        if tree.size() == *size && tree.root() == *root {
            self.agree(*size, *root);
            self.sign(&signed, Kind::Regular);
        } else if !self.unsound {
            self.unsound = true;
            self.find(Fault::Root { from: self.sound });
        }
    }

    pub(super) fn witnessed(&mut self, witnessed: &Witnessed) {
        let Witnessed { size, note, .. } = witnessed;
        let known = self.roots.binary_search_by_key(size, |(size, _)| *size);
        let root = known.ok().map(|index| self.roots[index].1);
        let signed = match Signed::parse(note) {
            Ok(signed) => signed,
            Err(error) => return self.find(Fault::Note(error)),
        };
        if signed.checkpoint.size != *size {
            self.find(Fault::CheckpointFields);
        } else if let Some(fault) = self.another_origin(&signed) {
            self.find(fault);
        } else if let Some(root) = root {
            // Without the root of that size the cosignature proves nothing, so it does not count.
            if root == signed.checkpoint.root {
                self.sign(&signed, Kind::Elsewhere);
            } else {
                self.find(Fault::WitnessedRoot { size: *size });
            }
        }
    }

    /// Reads a note that must say this of this ledger.
    fn note(&self, note: &str, size: u64, root: &Hash) -> Result<Signed, Fault> {
        let signed = Signed::parse(note).map_err(Fault::Note)?;
        if let Some(fault) = self.another_origin(&signed) {
            return Err(fault);
        }
        if signed.checkpoint.size != size || signed.checkpoint.root != *root {
            return Err(Fault::CheckpointFields);
        }
        Ok(signed)
    }

    fn another_origin(&self, signed: &Signed) -> Option<Fault> {
        let expected = self.report.origin.as_ref()?;
        let found = &signed.checkpoint.origin;
        (found != expected).then(|| Fault::Origin {
            found: found.clone(),
            expected: expected.clone(),
        })
    }

    fn sign(&mut self, signed: &Signed, kind: Kind) {
        if let Err(fault) = self.signatures.check(signed, kind, &self.here) {
            self.find(fault);
        }
    }

    /// The records so far are those of this root.
    fn agree(&mut self, size: u64, root: Hash) {
        self.sound = size;
        self.unsound = false;
        if self.roots.len() == ROOTS {
            self.roots.pop_front();
        }
        self.roots.push_back((size, root));
    }
}
