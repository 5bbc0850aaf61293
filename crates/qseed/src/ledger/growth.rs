//! Proofs for witnesses that the ledger only grew, from its files.
//!
//! The first record of each file holds what came before it, so only the files from the old size on
//! are read, and none of them is kept in memory.

use std::fs::File;
use std::io;
use std::path::Path;

use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::record::Head;
use qseed_ledger::tree::{Frontier, Growth, Hash, leaf_hash, verify_consistency};

use super::names::Names;
use super::open_folder;
use super::scan::{Lines, begin};
use crate::state_dir::StateDirError;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrowthError {
    /// The files cannot be read now.
    #[error("{0}")]
    Files(#[from] StateDirError),
    /// The same.
    #[error("cannot read the ledger: {0}")]
    Read(#[from] io::Error),
    /// The records around the old size were removed.
    #[error("the records that it cosigned last were pruned; raise `keep` of `audit.rotate`")]
    Pruned,
    /// The file with these records is compressed.
    #[error("{0} is compressed and is needed once more; unpack it until the next checkpoint")]
    Compressed(String),
    /// The files hold something else than what was signed.
    #[error("the ledger's files do not hold what was signed; run `qseed audit verify`")]
    Changed,
}

/// A file of the ledger.
enum Part {
    /// The one that is written. Its name may become another file's meanwhile.
    Current(File),
    Older(String),
}

/// The proof that the ledger of `file` grew from `old` records to the checkpoint. May take long.
pub(crate) fn growth(
    file: &Path,
    old: u64,
    checkpoint: &Checkpoint,
) -> Result<Vec<Hash>, GrowthError> {
    let (dir, names) = (open_folder(file)?, Names::of(file));
    let origin = &checkpoint.origin;
    let current = File::open(file)?;
    let first = first_line(&current)?;
    let (of, _) = begin(&first).ok_or(GrowthError::Changed)?;
    if of.origin != *origin {
        return Err(GrowthError::Changed);
    }
    let older = dir.names(&names.older_of(origin))?;
    let older = older.into_iter().filter_map(|name| {
        let first = names.first_of(origin, &name)?;
        Some((first, Part::Older(name)))
    });
    // One that was rotated since it was opened stands there twice.
    let older = older.filter(|(first, _)| *first < of.seq);
    let mut parts: Vec<(u64, Part)> = older.collect();
    // One that was compressed while the plain file was kept.
    parts.dedup_by_key(|(first, _)| *first);
    parts.push((of.seq, Part::Current(current)));
    let after = parts.partition_point(|(first, _)| *first <= old);
    let from = after.checked_sub(1).ok_or(GrowthError::Pruned)?;
    let mut tree = None;
    for (_, part) in parts.split_off(from) {
        let file = match part {
            Part::Current(file) => file,
            Part::Older(name) if name.strip_suffix(".gz").is_some() => {
                return Err(GrowthError::Compressed(name));
            }
            Part::Older(name) => {
                let file = dir.open_file(&name, false)?;
                file.ok_or(GrowthError::Changed)?
            }
        };
        let mut lines = Lines::of(&file)?;
        while lines.next()? {
            let line = lines.line();
            let tree = match &mut tree {
                Some(tree) => tree,
                none => {
                    let (_, before) = begin(line).ok_or(GrowthError::Changed)?;
                    none.insert(Tree::new(before.frontier().clone(), old))
                }
            };
            if tree.size() == checkpoint.size {
                break;
            }
            tree.append(line)?;
        }
    }
    tree.ok_or(GrowthError::Changed)?.proof(checkpoint)
}

fn first_line(file: &File) -> io::Result<Vec<u8>> {
    let mut lines = Lines::of(file)?;
    lines.next()?;
    Ok(lines.line().to_vec())
}

/// The tree while the records are read.
struct Tree {
    /// Up to the old size.
    old: Frontier,
    /// From there on.
    since: Option<Growth>,
    until: u64,
}

impl Tree {
    fn new(before: Frontier, until: u64) -> Self {
        let mut tree = Self {
            old: before,
            since: None,
            until,
        };
        tree.begin_growth();
        tree
    }

    fn begin_growth(&mut self) {
        if self.old.size() == self.until {
            self.since = Some(Growth::new(self.old.clone()));
        }
    }

    fn size(&self) -> u64 {
        self.since.as_ref().map_or(self.old.size(), Growth::size)
    }

    fn append(&mut self, line: &[u8]) -> Result<(), GrowthError> {
        // A file that is missing in between must not look like another history.
        if !Head::parse(line).is_ok_and(|head| head.seq == self.size()) {
            return Err(GrowthError::Changed);
        }
        if let Some(since) = &mut self.since {
            since.append(leaf_hash(line));
        } else {
            self.old.append(leaf_hash(line));
            self.begin_growth();
        }
        Ok(())
    }

    fn proof(&self, checkpoint: &Checkpoint) -> Result<Vec<Hash>, GrowthError> {
        let proof = self.since.as_ref().ok_or(GrowthError::Changed)?.proof();
        let old = (self.until, &self.old.root());
        let new = (checkpoint.size, &checkpoint.root);
        let holds = verify_consistency(old, new, &proof);
        holds.then_some(proof).ok_or(GrowthError::Changed)
    }
}
