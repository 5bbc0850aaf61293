//! Whether the ledger that is found may be continued.

use std::fs::File;
use std::path::Path;

use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::{SigningKey, signers};
use qseed_ledger::note::Note;
use qseed_ledger::record::Previous;

use super::{LedgerError, keys};
use crate::ledger::key::KeySecret;
use crate::ledger::names::Names;
use crate::ledger::scan::{Mark, Scan, scan};
use crate::random::random_number;
use crate::state_dir::StateDir;

/// The longest note that is read: many witnesses may have signed it.
const MAX_NOTE: u64 = 256 * 1024;

/// What is to become of the ledger that was found.
pub(in crate::ledger) enum Judgement {
    /// It goes on. What is damaged at its end is to be cut off.
    GoOn { file: File, found: Scan },
    /// It was interrupted while it was rotated, and goes on in a new file.
    Rotated { found: Scan },
    /// A new origin begins. Without a reason, nothing was found.
    Begin {
        because: Option<String>,
        previous: Option<Previous>,
        /// The present file gets this name, if it is free.
        set_aside: Option<String>,
    },
}

/// The newest note in its own file.
enum Signed {
    Missing,
    /// It is damaged, or another key signed it.
    Useless,
    At(Known),
}

/// A ledger that this process has written to, or that was signed.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) origin: String,
    pub(super) mark: Mark,
}

/// A ledger's folder, and what must be in it.
#[derive(Debug)]
pub(in crate::ledger) struct Folder {
    pub(super) dir: StateDir,
    pub(super) names: Names,
    secret: KeySecret,
    /// What this process has written, and what is on the disk for certain.
    pub(super) known: Option<Known>,
}

impl Folder {
    pub(in crate::ledger) fn new(dir: StateDir, file: &Path, secret: KeySecret) -> Self {
        Self {
            dir,
            names: Names::of(file),
            secret,
            known: None,
        }
    }

    /// The keys of an origin.
    pub(super) fn signer(&self, origin: &str) -> Result<SigningKey, LedgerError> {
        Ok(SigningKey::new(&self.secret, origin)?)
    }

    /// The older files of an origin, each with its first record, in order.
    pub(super) fn older(&self, origin: &str) -> Result<Vec<(u64, String)>, LedgerError> {
        let names = self.dir.names(&self.names.older_of(origin))?;
        let mut older: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((self.names.first_of(origin, &name)?, name)))
            .collect();
        older.sort();
        Ok(older)
    }

    /// Whether the ledger may be continued. Changes nothing.
    pub(in crate::ledger) fn judge(&self) -> Result<Judgement, LedgerError> {
        let signed = self.signed()?;
        let current = &self.names.current;
        let Some(file) = self.dir.open_file(current, true)? else {
            return self.judge_missing(&signed);
        };
        let marks = self.marks(&signed);
        let sizes: Vec<Mark> = marks.iter().map(|it| it.mark).collect();
        // This process knows exactly what it wrote.
        let until = self.known.as_ref().map(|known| known.mark.size);
        let found = scan(&file, &sizes, until);
        let Some(found) = found.map_err(|why| self.dir.error(current, why))? else {
            let is_empty = self.dir.length(current) == Some(0);
            let because = if is_empty {
                format!("{current} is empty")
            } else {
                format!("{current} does not begin like a ledger")
            };
            return Ok(new_origin(
                because,
                previous(&marks, None),
                self.names.set_aside(random_number()),
            ));
        };
        let Some(fault) = self.why_not(&found, &signed) else {
            return Ok(Judgement::GoOn { file, found });
        };
        let name = self.names.older(&found.first.origin, found.first.seq);
        let previous = previous(&marks, Some(&found));
        Ok(new_origin(fault, previous, name))
    }

    /// What the ledger must contain, the largest first.
    fn marks(&self, signed: &Signed) -> Vec<Known> {
        let mut marks: Vec<Known> = self.known.iter().cloned().collect();
        if let Signed::At(signed) = signed {
            marks.push(signed.clone());
        }
        marks.sort_by_key(|it| std::cmp::Reverse(it.mark.size));
        marks
    }

    /// Why a file must not be continued.
    fn why_not(&self, found: &Scan, signed: &Signed) -> Option<String> {
        let current = &self.names.current;
        let origin = &found.first.origin;
        let Ok(ours) = self.signer(origin) else {
            return Some(format!("{current} has no usable origin"));
        };
        if found.first.keys != keys(&ours) {
            return Some("the signing key is another one".to_owned());
        }
        if let Some(note) = &found.first.note
            && !matches!(verified(note, &ours), Some(known) if known.mark.size == found.first.seq)
        {
            return Some(format!("the first record of {current} is not signed"));
        }
        let checkpoint = self.names.checkpoint();
        match signed {
            Signed::Useless => return Some(format!("{checkpoint} is not signed with the key")),
            // The first checkpoint may have been written without it.
            Signed::Missing if found.checkpoints > u64::from(found.ends_in_checkpoint) => {
                return Some(format!("{checkpoint} is missing"));
            }
            Signed::At(known)
                if known.origin != *origin
                    // It began, and was not signed yet.
                    && (found.first.previous.as_ref() != Some(&known.origin)
                        || found.checkpoints > u64::from(found.ends_in_checkpoint)) =>
            {
                return Some(format!(
                    "{current} is the ledger {origin}, and {checkpoint} is of {}",
                    known.origin
                ));
            }
            _ => {}
        }
        if let Some(known) = &self.known
            && known.origin != *origin
        {
            return Some(format!("{current} was replaced by another ledger"));
        }
        let signed = match signed {
            Signed::At(known) if known.origin == *origin => Some(known.mark),
            _ => None,
        };
        let known = self.known.as_ref().map(|known| known.mark);
        let mut missing = found.missing.iter();
        let missing = missing.find(|(mark, _)| signed == Some(*mark) || known == Some(*mark));
        if let Some((mark, why)) = missing {
            return Some(format!(
                "{current} has {} good records and must have {}: {why}",
                found.chain.seq(),
                mark.size
            ));
        }
        let fault = found.fault.as_ref().filter(|fault| !fault.is_torn)?;
        let seq = found.chain.seq();
        Some(format!(
            "{current} is damaged at record {seq}: {}",
            fault.what
        ))
    }

    /// The file is not there. It is in order only if this host was interrupted when the file had
    /// just been rotated.
    fn judge_missing(&self, signed: &Signed) -> Result<Judgement, LedgerError> {
        let current = &self.names.current;
        let marks = self.marks(signed);
        if let Some(known) = marks.first()
            && let Some(judgement) = self.after_rotation(known, signed)?
        {
            return Ok(judgement);
        }
        let because = match signed {
            Signed::Missing if marks.is_empty() => None,
            _ => Some(format!("{current} is missing")),
        };
        Ok(Judgement::Begin {
            because,
            previous: previous(&marks, None),
            set_aside: None,
        })
    }

    fn after_rotation(
        &self,
        known: &Known,
        signed: &Signed,
    ) -> Result<Option<Judgement>, LedgerError> {
        let Some((_, name)) = self.older(&known.origin)?.pop() else {
            return Ok(None);
        };
        // One that was compressed was not rotated just now, and is not read.
        let Some(file) = self.dir.open_file(&name, false)? else {
            return Ok(None);
        };
        let marks: Vec<Mark> = self.marks(signed).iter().map(|it| it.mark).collect();
        let found = scan(&file, &marks, None).map_err(|why| self.dir.error(&name, why))?;
        let Some(found) = found else { return Ok(None) };
        // A newer note would be of a file that is gone.
        let is_newest = matches!(signed, Signed::At(it) if it.mark.size + 1 == found.chain.seq());
        let is_whole = found.ends_in_checkpoint && found.fault.is_none();
        if !is_whole || !is_newest || self.why_not(&found, signed).is_some() {
            return Ok(None);
        }
        Ok(Some(Judgement::Rotated { found }))
    }

    /// Reads the newest note.
    fn signed(&self) -> Result<Signed, LedgerError> {
        let Some(text) = self.dir.read(&self.names.checkpoint(), MAX_NOTE)? else {
            return Ok(Signed::Missing);
        };
        Ok(std::str::from_utf8(&text)
            .ok()
            .and_then(|text| {
                let note: Note = text.parse().ok()?;
                let checkpoint: Checkpoint = note.text().parse().ok()?;
                let signer = self.signer(&checkpoint.origin).ok()?;
                verified(text, &signer)
            })
            .map_or(Signed::Useless, Signed::At))
    }
}

/// The checkpoint of a note that this key signed.
fn verified(text: &str, signer: &SigningKey) -> Option<Known> {
    let note: Note = text.parse().ok()?;
    signers(&note, signer.verifier_keys()).ok()?;
    let checkpoint: Checkpoint = note.text().parse().ok()?;
    let (size, root) = (checkpoint.size, checkpoint.root);
    (checkpoint.origin == signer.origin()).then_some(Known {
        origin: checkpoint.origin,
        mark: Mark { size, root },
    })
}

fn new_origin(because: String, previous: Option<Previous>, set_aside: String) -> Judgement {
    Judgement::Begin {
        because: Some(because),
        previous,
        set_aside: Some(set_aside),
    }
}

/// The ledger before: as far as it is known, else as far as it was found.
fn previous(marks: &[Known], found: Option<&Scan>) -> Option<Previous> {
    let known = marks.first().map(|known| Previous {
        origin: known.origin.clone(),
        size: known.mark.size,
        root: known.mark.root,
    });
    known.or_else(|| {
        let found = found?;
        Some(Previous {
            origin: found.first.origin.clone(),
            size: found.chain.seq(),
            root: found.chain.frontier().root(),
        })
    })
}
