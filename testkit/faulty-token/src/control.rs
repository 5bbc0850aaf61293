//! Steering and reading a faulty token, for tests.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use crate::state::{StateFile, TokenKey, write_whole};
use crate::{Call, Ckr, Error, Event, Faults, Function, MODULE_FILE, Record, STEERING_FILE, User};
use crate::{STEERING_VARIABLE, module_path};

/// How much of the record a time-out shows.
const SHOWN_LINES: usize = 20;

/// A folder with a steering file, and all that modules that are steered by it leave there.
///
/// Any number of processes may load the module at the same time. Dropping this leaves the folder.
#[derive(Debug)]
pub struct FaultyToken {
    folder: PathBuf,
    faults: Mutex<Faults>,
}

/// A presentation to `C_Login`, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// When it reached the module, in nanoseconds of `CLOCK_MONOTONIC`.
    pub ns: u64,
    /// The process.
    pub pid: u32,
    /// The call as it reached the module, with user and PIN.
    pub call: Call,
    /// Whether the PIN was judged right (`CKR_OK`), or why not; `None` where it was not judged, or
    /// the process died before it was.
    pub judged: Option<Ckr>,
    /// What the caller was told, or would have been, had the process not died after the work.
    pub told: Option<Ckr>,
}

impl FaultyToken {
    /// A healthy token of one slot, steered from `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::File`] where the folder or the file cannot be written.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let token = Self {
            folder,
            faults: Mutex::new(Faults::default()),
        };
        token.set(|_| ())?;
        Ok(token)
    }

    /// Takes over a folder with a steering file as it is.
    ///
    /// # Errors
    /// [`Error::File`] if there is no such file, [`Error::Steering`] if it is not a valid steering file.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let path = folder.join(STEERING_FILE);
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let faults = Mutex::new(Faults::parse(&text)?);
        Ok(Self { folder, faults })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The environment variable, name and value, by which a process that loads the module
    /// from anywhere is steered from here.
    #[must_use]
    pub fn environment(&self) -> (&'static str, PathBuf) {
        (STEERING_VARIABLE, self.folder.join(STEERING_FILE))
    }

    /// Copies the built module into the folder, for processes that load several: without the
    /// environment variable, a module reads the steering file in its own folder, and each copy is
    /// a library of its own. Replaces an older copy by a new file, which does not disturb those
    /// that have it loaded.
    ///
    /// # Errors
    /// [`Error::NoModule`] where it is not built; [`Error::File`] where it cannot be copied.
    pub fn install(&self) -> Result<PathBuf, Error> {
        let (built, path) = (module_path()?, self.folder.join(MODULE_FILE));
        let beside = path.with_extension("so.new");
        fs::copy(built, &beside).map_err(Error::file(&beside))?;
        fs::rename(&beside, &path).map_err(Error::file(&path))?;
        Ok(path)
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the steering file says.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.lock().clone()
    }

    /// Changes the steering file, in one step. Modules act on it from their next call on.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) -> Result<(), Error> {
        let mut faults = self.lock();
        change(&mut faults);
        let text = serde_json::to_vec_pretty(&*faults)
            .map_err(|error| Error::Steering(error.to_string()))?;
        write_whole(&self.folder, STEERING_FILE, &text)
    }

    /// PINs that were presented to a token as `user` since the last right one.
    ///
    /// # Errors
    /// [`Error::File`] where the state cannot be read.
    pub fn wrong_pins(&self, token: u32, user: User) -> Result<u32, Error> {
        let generation = self.lock().settings(token).generation;
        let state = StateFile::new(&self.folder).read()?;
        Ok(state.wrong_pins(TokenKey { token, generation }, user))
    }

    /// Lets every token forget the wrong PINs, as after an operator unlocked it.
    ///
    /// # Errors
    /// [`Error::File`] where the state cannot be written.
    pub fn unlock_pins(&self) -> Result<(), Error> {
        StateFile::new(&self.folder).update(crate::state::State::clear_all_pins)
    }

    /// Everything that reached the module so far, by any process.
    ///
    /// # Errors
    /// [`Error::Record`] where a line makes no sense.
    pub fn record(&self) -> Result<Vec<Record>, Error> {
        let mut tail = Tail::new(self.folder.join("record.jsonl"));
        tail.read_on()?;
        Ok(tail.records)
    }

    /// Waits until the record has what `found` looks for, and returns the record until then.
    /// Blocks the thread; wakes up when the record grows.
    ///
    /// # Errors
    /// [`Error::TimedOut`] where it does not come within `timeout`.
    pub fn wait_for(
        &self,
        timeout: Duration,
        mut found: impl FnMut(&[Record]) -> bool,
    ) -> Result<Vec<Record>, Error> {
        let deadline = Instant::now() + timeout;
        let watch = Watch::new(&self.folder)?;
        let mut tail = Tail::new(self.folder.join("record.jsonl"));
        loop {
            tail.read_on()?;
            if found(&tail.records) {
                return Ok(tail.records);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let from = tail.records.len().saturating_sub(SHOWN_LINES);
                return Err(Error::TimedOut {
                    last: tail.records.split_off(from),
                });
            }
            watch.wait(left)?;
        }
    }

    /// Every call of `C_SeedRandom` that is done, in order. [`Call::succeeded`] tells those that the
    /// token mixed in.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn seeds(&self) -> Result<Vec<Call>, Error> {
        let record = self.record()?;
        Ok(record
            .iter()
            .filter_map(|line| line.ended(Function::SeedRandom))
            .cloned()
            .collect())
    }

    /// Every presentation that reached `C_Login`, in order, with what became of it.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn logins(&self) -> Result<Vec<Login>, Error> {
        let mut logins: Vec<Login> = Vec::new();
        for line in self.record()? {
            let pid = line.pid;
            match line.event {
                Event::Begun(call) if call.function == Function::Login => {
                    logins.push(Login {
                        ns: line.ns,
                        pid,
                        call,
                        judged: None,
                        told: None,
                    });
                }
                Event::Ended(call) if call.function == Function::Login => {
                    let same =
                        |login: &&mut Login| login.pid == pid && login.call.call == call.call;
                    if let Some(login) = logins.iter_mut().rev().find(same) {
                        (login.judged, login.told) = (call.done, call.result);
                    }
                }
                _ => (),
            }
        }
        Ok(logins)
    }
}

/// A reader of the record that continues where it stopped.
struct Tail {
    path: PathBuf,
    offset: u64,
    records: Vec<Record>,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            offset: 0,
            records: Vec::new(),
        }
    }

    fn read_on(&mut self) -> Result<(), Error> {
        // Before the first call there is no record.
        let Ok(mut file) = File::open(&self.path) else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(self.offset))
            .map_err(Error::file(&self.path))?;
        let mut reader = BufReader::new(file.take(u64::MAX));
        let mut line = Vec::new();
        loop {
            line.clear();
            reader
                .read_until(b'\n', &mut line)
                .map_err(Error::file(&self.path))?;
            if line.last() != Some(&b'\n') {
                // The end, or a line that is just being written.
                return Ok(());
            }
            let record = serde_json::from_slice(&line).map_err(|source| Error::Record {
                path: self.path.clone(),
                line: self.records.len() + 1,
                source,
            })?;
            self.records.push(record);
            self.offset += line.len() as u64;
        }
    }
}

/// Tells when something in a folder was written.
struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    fn new(folder: &Path) -> Result<Self, Error> {
        let watch = || {
            let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
            let inotify = inotify::init(flags)?;
            inotify::add_watch(&inotify, folder, inotify::WatchFlags::MODIFY)?;
            Ok(Self { inotify })
        };
        watch().map_err(|errno: rustix::io::Errno| Error::file(folder)(errno.into()))
    }

    /// Returns when something was written, or when the time is up.
    fn wait(&self, timeout: Duration) -> Result<(), Error> {
        let timeout = Timespec::try_from(timeout).expect("a test waits less than an age");
        let mut events = [0; 4096];
        let mut inotify = [PollFd::new(&self.inotify, PollFlags::IN)];
        match poll(&mut inotify, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => (),
            Err(errno) => return Err(Error::file("inotify")(errno.into())),
        }
        // What was written shows in the record; that something was is all that these say.
        while rustix::io::read(&self.inotify, &mut events).is_ok_and(|read| read > 0) {}
        Ok(())
    }
}
