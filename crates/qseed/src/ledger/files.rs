//! The ledger's files, as the thread that writes has them.

mod judge;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use qseed_config::Rotate;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::SigningKey;
use qseed_ledger::record::{self, Body, Chain, Continued, Previous};
use rustix::fs::{Advice, FlockOperation};

use super::key::{KeyError, KeyPlace};
use super::scan::{Mark, Scan};
use crate::exit::Code;
use crate::log::format_time;
use crate::random::random_number;
use crate::state_dir::{StateDir, StateDirError};
use judge::Known;
pub(super) use judge::{Folder, Judgement};

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
    /// Whether it is about the folder as a whole, or the key.
    pub(crate) fn is_of_folder_or_key(&self) -> bool {
        matches!(self, Self::Dir(StateDirError::Io { .. }) | Self::Key(_))
    }

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
    NewOrigin {
        because: String,
        set_aside: Option<String>,
    },
}

/// The files. While something is wrong with them, the file is closed, and the next call opens it
/// again.
#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    folder: Folder,
    /// Locked as long as this process may write.
    lock: File,
    open: Option<Open>,
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
        let secret = place.key.read_or_make()?;
        let dir = StateDir::create(folder_of(&place.file))?;
        let folder = Folder::new(dir, &place.file, secret);
        Ok(Self {
            lock: lock(&folder)?,
            place,
            folder,
            open: None,
            may_have_rest: false,
        })
    }

    /// Whether the file is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Reads what is there and goes on after it, or begins a new origin.
    pub(super) fn open(&mut self, now: Timestamp) -> Result<Opened, LedgerError> {
        let Folder { dir, names, .. } = &self.folder;
        if dir.named_length(&names.lock(), &self.lock).is_none() {
            // Somebody removed it, or another disk is mounted there.
            self.folder.dir = self.folder.dir.again()?;
            self.lock = lock(&self.folder)?;
        }
        let (opened, open) = match self.folder.judge()? {
            Judgement::GoOn { file, found } => self.go_on(file, found)?,
            Judgement::Rotated { found } => {
                let signer = self.folder.signer(&found.first.origin)?;
                let (open, note) = self.continue_after(signer, found.chain, now)?;
                self.publish(&note)?;
                (Opened::Continued, open)
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
                (Opened::NewOrigin { because, set_aside }, open)
            }
        };
        self.may_have_rest = false;
        self.folder.known = Some(open.known());
        self.open = Some(open);
        Ok(opened)
    }

    /// Cuts off the damaged end of a file, and goes on in it.
    fn go_on(&self, file: File, found: Scan) -> Result<(Opened, Open), LedgerError> {
        let cut_bytes = found.length - found.good;
        if cut_bytes > 0 {
            let cut_off = file.set_len(found.good).and_then(|()| file.sync_data());
            cut_off.map_err(|why| self.error(why))?;
        }
        let opened = match found.fault {
            Some(fault) if !self.may_have_rest => Opened::Recovered {
                cut_bytes,
                because: fault.what,
            },
            _ => Opened::Continued,
        };
        let open = Open {
            file,
            signer: self.folder.signer(&found.first.origin)?,
            chain: found.chain,
            length: found.good,
            first: found.first.seq,
            #[cfg(test)]
            instead: None,
        };
        Ok((opened, open))
    }

    fn error(&self, why: std::io::Error) -> LedgerError {
        self.folder
            .dir
            .error(&self.folder.names.current, why)
            .into()
    }

    /// Gives the present file another name: this one, if it is free.
    fn set_aside(&self, wanted: String) -> Result<String, LedgerError> {
        let name = if self.folder.dir.exists(&wanted) {
            self.folder.names.set_aside(random_number())
        } else {
            wanted
        };
        self.folder.dir.move_to(&self.folder.names.current, &name)?;
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
        let signer = self.folder.signer(&origin)?;
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
        let file = self
            .folder
            .dir
            .make(&self.folder.names.current, line.as_bytes())?;
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
        let Folder { dir, names, .. } = &self.folder;
        if dir.named_length(&names.current, &open.file) != Some(open.length) {
            self.open = None;
            return Err(LedgerError::Changed(self.place.file.clone()));
        }
        let mut chain = open.chain.clone();
        let mut lines = String::new();
        for (time, body) in records {
            lines.push_str(&chain.next(&format_time(time), body.clone()));
            lines.push('\n');
        }
        let error = |why| LedgerError::from(dir.error(&names.current, why));
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
        self.folder.known = Some(open.known());
        Ok(())
    }

    /// Signs the tree: appends the note, and puts it into its own file. Returns it.
    pub(super) fn sign(&mut self, now: Timestamp, strong: bool) -> Result<String, LedgerError> {
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
        self.publish(&note)?;
        Ok(note)
    }

    /// Puts the newest note into its own file.
    fn publish(&self, note: &str) -> Result<(), LedgerError> {
        self.folder
            .dir
            .replace(&self.folder.names.checkpoint(), note.as_bytes())?;
        Ok(())
    }

    /// Whether the file has its full size.
    pub(super) fn is_full(&self, rotate: Rotate) -> bool {
        self.open
            .as_ref()
            .is_some_and(|it| it.length >= rotate.size)
    }

    /// Signs the tree, gives the file the name of an older one, and goes on in a new one. Returns
    /// the newest note.
    pub(super) fn rotate(&mut self, now: Timestamp, rotate: Rotate) -> Result<String, LedgerError> {
        self.sign(now, true)?;
        let Some(open) = self.open.take() else {
            return Err(LedgerError::Changed(self.place.file.clone()));
        };
        let older = self.folder.names.older(open.signer.origin(), open.first);
        self.folder
            .dir
            .move_to(&self.folder.names.current, &older)?;
        let (open, note) = self.continue_after(open.signer, open.chain, now)?;
        self.folder.known = Some(open.known());
        self.open = Some(open);
        self.publish(&note)?;
        self.prune(rotate.keep)?;
        Ok(note)
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
        let mut older = self.folder.older(origin)?;
        older.truncate(older.len().saturating_sub(keep));
        for (_, name) in older {
            self.folder.dir.remove(&name)?;
        }
        Ok(())
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

/// The folder of a ledger's file.
pub(crate) fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(".".as_ref())
}

/// Takes the lock, unless another process has it.
fn lock(folder: &Folder) -> Result<File, LedgerError> {
    let Folder { dir, names, .. } = folder;
    let name = names.lock();
    let mut tries = 0;
    loop {
        if let Some(file) = dir.open_file(&name, false)? {
            tries += 1;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                // `qseed check` holds it for a moment.
                Err(rustix::io::Errno::WOULDBLOCK) if tries < 10 => {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(LedgerError::InUse(dir.path().join(&names.current)));
                }
                Err(why) => return Err(dir.error(&name, why).into()),
            }
        }
        // Another process may be first.
        if let Some(file) = dir.create_new(&name)? {
            return Ok(file);
        }
    }
}
