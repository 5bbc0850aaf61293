//! Which processes that recorded a presentation still live. Each locks a file of its own for as long
//! as it lives, which processes in other containers see as well.

use std::fs::File;

use qseed_model::pins::ProcessTag;

use crate::state_dir::{StateDir, StateDirError};

const PREFIX: &str = "presenter-";

/// This process, as one that presents PINs.
#[derive(Debug)]
pub(super) struct Presenter {
    pub(super) tag: ProcessTag,
    /// Locked.
    _file: File,
}

impl Presenter {
    /// Makes and locks this process's file, and removes those of processes that are gone.
    pub(super) fn new(dir: &StateDir) -> Result<Self, StateDirError> {
        dir.remove_abandoned(PREFIX);
        loop {
            let tag = ProcessTag(crate::random::random_number().to_be_bytes());
            if let Some(file) = dir.create_new(&name_of(tag))? {
                return Ok(Self { tag, _file: file });
            }
        }
    }

    /// Removes this process's file, at its end.
    pub(super) fn leave(&self, dir: &StateDir) {
        let _ = dir.remove(&name_of(self.tag));
    }
}

/// Whether a process still lives. If that cannot be seen, it counts as living, and its PIN is held
/// back.
pub(super) fn lives(dir: &StateDir, tag: ProcessTag) -> bool {
    dir.is_in_use(&name_of(tag))
}

fn name_of(tag: ProcessTag) -> String {
    format!("{PREFIX}{:016x}", u64::from_be_bytes(tag.0))
}
