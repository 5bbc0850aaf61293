//! Looks at a ledger as the next start would, and changes nothing.

use std::path::Path;

use rustix::fs::FlockOperation;

use super::files::{Folder, Judgement, LedgerError, folder_of};
use super::key::{KeyError, KeyPlace};
use super::names::Names;
use crate::state_dir::{Acting, StateDir, StateDirError};

/// What the next start would find.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Examined {
    /// No ledger.
    Nothing,
    /// A process writes it.
    InUse,
    /// It goes on; so many bytes at its end are no record.
    GoesOn { records: u64, cut: u64 },
    /// A new one begins in its place.
    MustBegin { because: String },
}

/// Examines the ledger in this file.
pub(crate) fn examine(file: &Path, key: &KeyPlace) -> Result<Examined, LedgerError> {
    let dir = match StateDir::open(folder_of(file), Acting::ForOwner) {
        Ok(dir) => dir,
        Err(StateDirError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Examined::Nothing);
        }
        Err(why) => return Err(why.into()),
    };
    let names = Names::of(file);
    for name in [names.current.clone(), names.checkpoint(), names.lock()] {
        dir.judge(&name)?;
    }
    if is_locked(&dir, &names)? {
        return Ok(Examined::InUse);
    }
    let secret = match key.read(Acting::ForOwner) {
        Ok(secret) => secret,
        Err(KeyError::Missing(_)) if !dir.exists(&names.current) => return Ok(Examined::Nothing),
        Err(KeyError::Missing(_)) => {
            let because = "its signing key is gone".to_owned();
            return Ok(Examined::MustBegin { because });
        }
        Err(why) => return Err(why.into()),
    };
    Ok(match Folder::new(dir, file, secret).judge()? {
        Judgement::GoOn { found, .. } => Examined::GoesOn {
            records: found.chain.seq(),
            cut: found.length - found.good,
        },
        Judgement::Rotated { found } => Examined::GoesOn {
            records: found.chain.seq(),
            cut: 0,
        },
        Judgement::Begin { because: None, .. } => Examined::Nothing,
        Judgement::Begin {
            because: Some(because),
            ..
        } => Examined::MustBegin { because },
    })
}

/// Whether a process has the lock.
fn is_locked(dir: &StateDir, names: &Names) -> Result<bool, LedgerError> {
    let Some(file) = dir.open_file(&names.lock(), false)? else {
        return Ok(false);
    };
    // A daemon that starts at this moment tries again.
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared);
    Ok(locked == Err(rustix::io::Errno::WOULDBLOCK))
}
