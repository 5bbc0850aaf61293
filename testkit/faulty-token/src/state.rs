//! What tokens remember beyond the life of a process: wrong PINs, and calls that rules count
//! across processes.
//!
//! `state.json` is only ever replaced whole: written beside, synced, renamed, and its folder
//! synced, under an advisory lock on `state.lock`. A process that is killed at any instant leaves
//! the old state or the new one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{Error, User};

/// The content of `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// By token and user: PINs presented since the last right one.
    #[serde(default)]
    pins: BTreeMap<String, BTreeMap<User, u32>>,
    /// By rule, as JSON: calls so far.
    #[serde(default)]
    rules: BTreeMap<String, u64>,
}

/// A token in one of its initialisations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenKey {
    pub(crate) token: u32,
    pub(crate) generation: u32,
}

impl TokenKey {
    fn name(self) -> String {
        format!("{}/{}", self.token, self.generation)
    }
}

impl State {
    /// PINs that were presented to `token` as `user` since the last right one.
    pub(crate) fn wrong_pins(&self, token: TokenKey, user: User) -> u32 {
        self.pins
            .get(&token.name())
            .and_then(|users| users.get(&user))
            .copied()
            .unwrap_or(0)
    }

    /// One more PIN is presented.
    pub(crate) fn count_pin(&mut self, token: TokenKey, user: User) {
        *self
            .pins
            .entry(token.name())
            .or_default()
            .entry(user)
            .or_default() += 1;
    }

    /// The PIN was right: the count starts afresh.
    pub(crate) fn clear_pins(&mut self, token: TokenKey, user: User) {
        if let Some(users) = self.pins.get_mut(&token.name()) {
            users.remove(&user);
            if users.is_empty() {
                self.pins.remove(&token.name());
            }
        }
    }

    /// Forgets every wrong PIN of every token.
    pub(crate) fn clear_all_pins(&mut self) {
        self.pins.clear();
    }

    /// Counts a call that the rule is about; from 1.
    pub(crate) fn count_call(&mut self, rule: &str) -> u64 {
        let calls = self.rules.entry(rule.to_owned()).or_default();
        *calls += 1;
        *calls
    }
}

/// Where the state lies.
#[derive(Debug)]
pub(crate) struct StateFile {
    folder: PathBuf,
}

impl StateFile {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The state as it is now.
    pub(crate) fn read(&self) -> Result<State, Error> {
        let path = self.folder.join("state.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(error) => return Err(Error::file(path)(error)),
        };
        serde_json::from_slice(&text).map_err(|error| Error::file(path)(error.into()))
    }

    /// Changes the state. What `change` did is on the disk when this returns, and no other
    /// process or thread changed the state meanwhile.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let lock_path = self.folder.join("state.lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(Error::file(&lock_path))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|errno| Error::file(&lock_path)(errno.into()))?;
        let before = self.read()?;
        let mut state = before.clone();
        let answer = change(&mut state);
        if state != before {
            self.replace(&state)?;
        }
        Ok(answer)
    }

    fn replace(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_vec(state).expect("numbers and names are JSON");
        write_whole(&self.folder, "state.json", &text)
    }
}

/// Replaces a file of `folder` by one with this content: a reader finds the old one or the new one.
pub(crate) fn write_whole(folder: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let (path, beside) = (folder.join(name), folder.join(format!("{name}.new")));
    let written = || {
        let mut file = File::create(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(Error::file(&path))
}

#[cfg(test)]
mod tests {
    use super::{StateFile, TokenKey};
    use crate::User;

    const TOKEN: TokenKey = TokenKey {
        token: 3,
        generation: 0,
    };

    #[test]
    fn counts_outlive_their_process_and_belong_to_one_initialisation() {
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..2 {
            let file = StateFile::new(folder.path());
            file.update(|state| state.count_pin(TOKEN, User::SO))
                .expect("written");
        }
        let state = StateFile::new(folder.path()).read().expect("read");
        assert_eq!(state.wrong_pins(TOKEN, User::SO), 2);
        assert_eq!(state.wrong_pins(TOKEN, User::USER), 0);
        assert_eq!(
            state.wrong_pins(
                TokenKey {
                    generation: 1,
                    ..TOKEN
                },
                User::SO
            ),
            0
        );
    }

    #[test]
    fn no_count_is_lost_between_threads() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = StateFile::new(folder.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        file.update(|state| state.count_call("rule"))
                            .expect("written");
                    }
                });
            }
        });
        assert_eq!(
            file.update(|state| state.count_call("rule"))
                .expect("written"),
            41
        );
    }
}
