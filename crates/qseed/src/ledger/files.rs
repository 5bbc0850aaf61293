//! The ledger's files, as the thread that writes has them.

mod judge;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use qseed_config::Rotate;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::SigningKey;
use qseed_ledger::record::{self, Body, Chain, Continued, Previous};
use rustix::fs::{Advice, FlockOperation};

use super::key::{KeyError, KeyPlace, KeySecret};
use super::names::Names;
use super::scan::Mark;
use crate::exit::Code;
use crate::log::format_time;
use crate::random::random_number;
use crate::state_dir::{StateDir, StateDirError};
use judge::Judgement;

/// The longest note that is read: many witnesses may have signed it.
const MAX_NOTE: u64 = 256 * 1024;

/// Why the ledger cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error("{0}")]
    Dir(#[from] StateDirError),
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error(
        "another qseed process writes the ledger {}; stop that one, or give this one another \
         `audit.file`",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("{}: the file changed while it was open", .0.display())]
    Changed(PathBuf),
    #[error("cannot sign the ledger: {0}")]
    Sign(#[from] qseed_ledger::Error),
}

impl LedgerError {
    /// The exit code for a daemon that finds this when it starts; none: it may pass.
    pub(crate) fn ends_start(&self) -> Option<Code> {
        match self {
            Self::Dir(StateDirError::Io { .. })
            | Self::Changed(_)
            | Self::Key(
                KeyError::File(StateDirError::Io { .. })
                | KeyError::Secret(_)
                | KeyError::Missing(_),
            ) => None,
            Self::Dir(why) => Some(why.code()),
            Self::Key(why) => Some(why.code()),
            Self::InUse(_) => Some(Code::TryLater),
            Self::Sign(_) => Some(Code::Internal),
        }
    }
}

/// Where the ledger is, and what its first records say of this process.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The path of the file that is written.
    pub(super) file: PathBuf,
    pub(super) key: KeyPlace,
    /// The host's name.
    pub(super) host: String,
    /// What the kernel granted of the daemon's hardening.
    pub(super) hardening: std::collections::BTreeMap<String, String>,
}

/// What was found when the files were opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// They go on where they ended.
    Continued,
    /// The same, after the damaged end of the file was cut off.
    Recovered { cut_bytes: u64, because: String },
    /// The first ledger here.
    First,
    /// A new origin, since the ledger must not be continued. The file was set aside under a name.
    Anew {
        because: String,
        set_aside: Option<String>,
    },
}

/// A ledger that this process has written to.
#[derive(Debug, Clone)]
struct Known {
    origin: String,
    mark: Mark,
}

/// The files. While something is wrong with them, the file is closed, and the next call opens it
/// again.
#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    names: Names,
    secret: KeySecret,
    dir: StateDir,
    /// Locked as long as this process may write.
    lock: File,
    open: Option<Open>,
    /// What is on the disk for certain.
    known: Option<Known>,
    /// Some lines may be on the disk that count as not written.
    may_have_rest: bool,
}

/// The file that is written.
#[derive(Debug)]
struct Open {
    file: File,
    signer: SigningKey,
    /// The end of the records on the disk.
    chain: Chain,
    /// The bytes on the disk.
    length: u64,
    /// The first record of the file.
    first: u64,
    /// Lets a test fail: what lines are written to instead.
    #[cfg(test)]
    instead: Option<File>,
}

impl Files {
    /// Reads the key, or makes one, and takes the lock.
    pub(super) fn lock(place: Place) -> Result<Self, LedgerError> {
        let names = Names::of(&place.file);
        let secret = place.key.read_or_make()?;
        let folder = place.file.parent().filter(|it| !it.as_os_str().is_empty());
        let dir = StateDir::create(folder.unwrap_or(".".as_ref()))?;
        let lock = lock(&dir, &names)?;
        Ok(Self {
            place,
            names,
            secret,
            dir,
            lock,
            open: None,
            known: None,
            may_have_rest: false,
        })
    }

    /// Whether the file is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Reads what is there and goes on after it, or begins a new origin.
    pub(super) fn open(&mut self, now: Timestamp) -> Result<Opened, LedgerError> {
        if self
            .dir
            .named_length(&self.names.lock(), &self.lock)
            .is_none()
        {
            // Somebody removed it, or another disk is mounted there.
            self.dir = self.dir.again()?;
            self.lock = lock(&self.dir, &self.names)?;
        }
        let (opened, open) = match self.judge()? {
            Judgement::GoOn { open, cut } => {
                let opened = match cut {
                    Some((cut_bytes, because)) if !self.may_have_rest => {
                        Opened::Recovered { cut_bytes, because }
                    }
                    _ => Opened::Continued,
                };
                (opened, open)
            }
            Judgement::Begin { because: None, .. } => {
                let because = "the first ledger in this place".to_owned();
                (Opened::First, self.begin(now, because, None)?)
            }
            Judgement::Begin {
                because: Some(because),
                previous,
                set_aside,
            } => {
                let set_aside = match set_aside {
                    Some(name) => Some(self.set_aside(name)?),
                    None => None,
                };
                let open = self.begin(now, because.clone(), previous)?;
                (Opened::Anew { because, set_aside }, open)
            }
        };
        self.may_have_rest = false;
        self.known = Some(open.known());
        self.open = Some(open);
        Ok(opened)
    }

    /// Gives the present file another name: this one, if it is free.
    fn set_aside(&self, wanted: String) -> Result<String, LedgerError> {
        let name = if self.dir.exists(&wanted) {
            self.names.set_aside(random_number())
        } else {
            wanted
        };
        self.dir.move_to(&self.names.current, &name)?;
        Ok(name)
    }

    /// Begins a new origin in a new file.
    fn begin(
        &self,
        now: Timestamp,
        because: String,
        previous: Option<Previous>,
    ) -> Result<Open, LedgerError> {
        let origin = format!("{}/qseed/{:016x}", self.place.host, random_number());
        let signer = SigningKey::new(&self.secret, &origin)?;
        let began = record::Began {
            origin,
            keys: keys(&signer),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hardening: self.place.hardening.clone(),
            because,
            previous,
        };
        self.first_file(signer, Chain::new(), now, Body::Began(began))
    }

    /// Makes a file that begins with this record.
    fn first_file(
        &self,
        signer: SigningKey,
        mut chain: Chain,
        now: Timestamp,
        body: Body,
    ) -> Result<Open, LedgerError> {
        let first = chain.seq();
        let mut line = chain.next(&format_time(now), body);
        line.push('\n');
        let file = self.dir.make(&self.names.current, line.as_bytes())?;
        Ok(Open {
            file,
            signer,
            chain,
            length: line.len() as u64,
            first,
            #[cfg(test)]
            instead: None,
        })
    }

    /// Appends records. They are on the disk when this returns. If it fails, none counts as
    /// written.
    pub(super) fn append<'b>(
        &mut self,
        records: impl IntoIterator<Item = (Timestamp, &'b Body)>,
    ) -> Result<(), LedgerError> {
        let Some(open) = &mut self.open else {
            return Err(LedgerError::Changed(self.place.file.clone()));
        };
        if self.dir.named_length(&self.names.current, &open.file) != Some(open.length) {
            self.open = None;
            return Err(LedgerError::Changed(self.place.file.clone()));
        }
        let mut chain = open.chain.clone();
        let mut lines = String::new();
        for (time, body) in records {
            lines.push_str(&chain.next(&format_time(time), body.clone()));
            lines.push('\n');
        }
        let error = |why| LedgerError::from(self.dir.error(&self.names.current, why));
        let file = open.written_to();
        if let Err(why) = { file }.write_all(lines.as_bytes()) {
            let why = error(why);
            self.may_have_rest = true;
            if open.file.set_len(open.length).is_err() {
                self.open = None;
            }
            return Err(why);
        }
        if let Err(why) = file.sync_data() {
            // The disk may have lost what memory still has: read it from the disk.
            let why = error(why);
            let _ = rustix::fs::fadvise(&open.file, 0, None, Advice::DontNeed);
            self.may_have_rest = true;
            self.open = None;
            return Err(why);
        }
        open.chain = chain;
        open.length += lines.len() as u64;
        self.known = Some(open.known());
        Ok(())
    }

    /// Signs the tree: appends the note, and puts it into its own file.
    pub(super) fn sign(&mut self, now: Timestamp, strong: bool) -> Result<(), LedgerError> {
        let Some(open) = &self.open else {
            return Err(LedgerError::Changed(self.place.file.clone()));
        };
        let (mark, note) = open.sign(now, strong)?;
        let body = Body::Checkpoint(record::Checkpoint {
            size: mark.size,
            root: mark.root,
            note: note.clone(),
        });
        self.append([(now, &body)])?;
        self.publish(&note)
    }

    /// Puts the newest note into its own file.
    fn publish(&self, note: &str) -> Result<(), LedgerError> {
        self.dir
            .replace(&self.names.checkpoint(), note.as_bytes())?;
        Ok(())
    }

    /// Whether the file has its full size.
    pub(super) fn is_full(&self, rotate: Rotate) -> bool {
        self.open
            .as_ref()
            .is_some_and(|it| it.length >= rotate.size)
    }

    /// Signs the tree, gives the file the name of an older one, and goes on in a new one.
    pub(super) fn rotate(&mut self, now: Timestamp, rotate: Rotate) -> Result<(), LedgerError> {
        self.sign(now, true)?;
        let Some(open) = self.open.take() else {
            return Err(LedgerError::Changed(self.place.file.clone()));
        };
        let older = self.names.older(open.signer.origin(), open.first);
        self.dir.move_to(&self.names.current, &older)?;
        let (open, note) = self.continue_after(open.signer, open.chain, now)?;
        self.known = Some(open.known());
        self.open = Some(open);
        self.publish(&note)?;
        self.prune(rotate.keep)
    }

    /// Makes a file that goes on after an older one.
    fn continue_after(
        &self,
        signer: SigningKey,
        chain: Chain,
        now: Timestamp,
    ) -> Result<(Open, String), LedgerError> {
        let (mark, note) = sign(&signer, &chain, now, true)?;
        let body = Body::Continued(Continued {
            origin: signer.origin().to_owned(),
            keys: keys(&signer),
            size: mark.size,
            root: mark.root,
            frontier: chain.frontier().hashes().to_vec(),
            note: note.clone(),
        });
        Ok((self.first_file(signer, chain, now, body)?, note))
    }

    /// Removes the oldest files of this origin.
    fn prune(&self, keep: usize) -> Result<(), LedgerError> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let origin = open.signer.origin();
        let mut older = self.older(origin)?;
        older.truncate(older.len().saturating_sub(keep));
        for (_, name) in older {
            self.dir.remove(&name)?;
        }
        Ok(())
    }

    /// The older files of an origin, each with its first record, in order.
    fn older(&self, origin: &str) -> Result<Vec<(u64, String)>, LedgerError> {
        let names = self.dir.names(&self.names.older_of(origin))?;
        let mut older: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((self.names.first_of(origin, &name)?, name)))
            .collect();
        older.sort();
        Ok(older)
    }
}

impl Open {
    #[cfg(not(test))]
    fn written_to(&self) -> &File {
        &self.file
    }

    #[cfg(test)]
    fn written_to(&self) -> &File {
        self.instead.as_ref().unwrap_or(&self.file)
    }

    fn known(&self) -> Known {
        Known {
            origin: self.signer.origin().to_owned(),
            mark: mark(&self.chain),
        }
    }

    fn sign(&self, now: Timestamp, strong: bool) -> Result<(Mark, String), LedgerError> {
        sign(&self.signer, &self.chain, now, strong)
    }
}

fn mark(chain: &Chain) -> Mark {
    Mark {
        size: chain.seq(),
        root: chain.frontier().root(),
    }
}

fn sign(
    signer: &SigningKey,
    chain: &Chain,
    now: Timestamp,
    strong: bool,
) -> Result<(Mark, String), LedgerError> {
    let mark = mark(chain);
    let checkpoint = Checkpoint {
        origin: signer.origin().to_owned(),
        size: mark.size,
        root: mark.root,
    };
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let note = signer.sign(&checkpoint, strong.then_some(seconds))?;
    Ok((mark, note.to_string()))
}

fn keys(signer: &SigningKey) -> Vec<String> {
    let keys = signer.verifier_keys().iter();
    keys.map(ToString::to_string).collect()
}

/// Takes the lock, unless another process has it.
fn lock(dir: &StateDir, names: &Names) -> Result<File, LedgerError> {
    let name = names.lock();
    loop {
        if let Some(file) = dir.open_file(&name, false)? {
            return match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    Err(LedgerError::InUse(dir.path().join(&names.current)))
                }
                Err(why) => Err(dir.error(&name, why).into()),
            };
        }
        // Another process may be first.
        if let Some(file) = dir.create_new(&name)? {
            return Ok(file);
        }
    }
}
