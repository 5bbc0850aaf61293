//! Which processes that recorded a presentation still live: each holds a lock on a file of its own
//! for as long as it does, which other processes see in other containers as well.

use std::fs::File;

use qseed_model::pins::ProcessTag;
use rustix::fs::FlockOperation;

use crate::state_dir::{StateDir, StateDirError};

const PREFIX: &str = "presenter-";

/// This process, as one that presents PINs.
#[derive(Debug)]
pub(super) struct Presenter {
    pub(super) tag: ProcessTag,
    name: String,
    /// Locked.
    _file: File,
}

impl Presenter {
    /// Takes a name and its lock, and removes the files of processes that are gone.
    pub(super) fn new(dir: &StateDir) -> Result<Self, StateDirError> {
        for name in dir.names() {
            if let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) {
                let _ = is_locked(dir, name);
            }
        }
        let tag = ProcessTag(crate::random::random_number().to_be_bytes());
        let name = name_of(tag);
        let file = dir.create_new(&name)?;
        Ok(Self {
            tag,
            name,
            _file: file,
        })
    }

    /// Removes this process's file, at its end.
    pub(super) fn leave(&self, dir: &StateDir) {
        let _ = dir.remove(&self.name);
    }
}

/// Whether another process still lives. Where that cannot be seen, it counts as living: then a PIN
/// is held back.
pub(super) fn lives(dir: &StateDir, tag: ProcessTag) -> bool {
    is_locked(dir, &name_of(tag))
}

fn is_locked(dir: &StateDir, name: &str) -> bool {
    match dir.open_file(name, false) {
        Ok(None) => false,
        Ok(Some(file)) => {
            let free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            if free.is_ok() {
                let _ = dir.remove(name);
            }
            free.is_err()
        }
        Err(_) => true,
    }
}

fn name_of(tag: ProcessTag) -> String {
    let digits: Vec<String> = tag.0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{}", digits.concat())
}
