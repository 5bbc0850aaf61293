//! A file of lines in the state directory, to which several processes append, each under a lock.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{StateDir, StateDirError};

/// What a process finds in the file that it did not know.
#[derive(Debug)]
pub(crate) enum Found {
    /// The lines that others appended, often none.
    Appended(Vec<u8>),
    /// All lines of a file that this process did not know: when it was just opened, when another one
    /// took its place, or when it was cut. None, if it was missing.
    Replaced(Vec<u8>),
}

/// The file, open.
#[derive(Debug)]
pub(crate) struct SharedFile {
    dir: StateDir,
    name: &'static str,
    /// A longer file is not read.
    limit: u64,
    file: File,
    /// The bytes of it that this process knows; none: it knows nothing of this file.
    known: Option<u64>,
}

impl SharedFile {
    /// Opens the file, or makes an empty one.
    pub(crate) fn open(
        dir: StateDir,
        name: &'static str,
        limit: u64,
    ) -> Result<Self, StateDirError> {
        Ok(Self {
            file: open(&dir, name)?,
            dir,
            name,
            limit,
            known: None,
        })
    }

    pub(crate) fn dir(&self) -> &StateDir {
        &self.dir
    }

    /// The bytes of it that this process knows.
    pub(crate) fn known(&self) -> u64 {
        self.known.unwrap_or(0)
    }

    fn error(&self, source: impl Into<std::io::Error>) -> StateDirError {
        self.dir.error(self.name, source)
    }

    /// The length of the file, if it still has its name and nobody else can write it.
    fn length(&self) -> Option<u64> {
        self.dir.named_length(self.name, &self.file)
    }

    /// Whether this process knows the whole file.
    pub(crate) fn is_known(&self) -> bool {
        self.length()
            .is_some_and(|length| self.known == Some(length))
    }

    /// Waits for the lock, and reads what other processes wrote. Until [`SharedFile::unlock`], no
    /// other process writes.
    pub(crate) fn lock(&mut self) -> Result<Found, StateDirError> {
        let found = self.lock_and_read();
        if found.is_err() {
            self.unlock();
        }
        found
    }

    fn lock_and_read(&mut self) -> Result<Found, StateDirError> {
        loop {
            rustix::fs::flock(&self.file, FlockOperation::LockExclusive)
                .map_err(|why| self.error(why))?;
            if let Some(length) = self.length() {
                return self.read(length);
            }
            // Another process replaced it, somebody moved it, or another disk is mounted there.
            self.known = None;
            self.dir = self.dir.again()?;
            self.file = open(&self.dir, self.name)?;
        }
    }

    /// Reads whole lines, and cuts off a last one without its end: a process died, or the disk was
    /// full, while it was written.
    fn read(&mut self, length: u64) -> Result<Found, StateDirError> {
        let path = || self.dir.path().join(self.name);
        if length > self.limit {
            let (path, limit) = (path(), self.limit);
            return Err(StateDirError::TooLong { path, limit });
        }
        let known = self.known.filter(|known| *known <= length);
        let start = known.unwrap_or(0);
        let mut text = vec![0; usize::try_from(length - start).unwrap_or(usize::MAX)];
        let read = self.file.read_exact_at(&mut text, start);
        read.map_err(|why| self.error(why))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |end| end + 1);
        let end = start + whole as u64;
        if whole < text.len() {
            text.truncate(whole);
            self.file.set_len(end).map_err(|why| self.error(why))?;
        }
        self.known = Some(end);
        Ok(match known {
            Some(_) => Found::Appended(text),
            None => Found::Replaced(text),
        })
    }

    /// Lets a test fail.
    #[cfg(test)]
    pub(crate) fn swap(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Reads the whole file at the next [`SharedFile::lock`].
    pub(crate) fn read_again(&mut self) {
        self.known = None;
    }

    pub(crate) fn unlock(&self) {
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }

    /// Takes room on the disk for what will be appended.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), StateDirError> {
        let flags = FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, self.known(), bytes) {
            // Some file systems cannot.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(why) => Err(self.error(why)),
        }
    }

    /// Appends lines. With `sync` they are on the disk when this returns. When it fails, none was
    /// written.
    pub(crate) fn append(&mut self, lines: &str, sync: bool) -> Result<(), StateDirError> {
        let mut written = (&self.file).write_all(lines.as_bytes());
        if sync {
            written = written.and_then(|()| self.file.sync_data());
        }
        if let Err(why) = written {
            // Half a line must not stand before the next one.
            let _ = self.file.set_len(self.known());
            return Err(self.error(why));
        }
        self.known = Some(self.known() + lines.len() as u64);
        Ok(())
    }

    /// Puts a file with these lines in its place, locked. They are on the disk when this returns.
    pub(crate) fn replace(&mut self, lines: &str) -> Result<(), StateDirError> {
        self.file = self.dir.replace(self.name, lines.as_bytes())?;
        self.known = Some(lines.len() as u64);
        Ok(())
    }
}

fn open(dir: &StateDir, name: &str) -> Result<File, StateDirError> {
    loop {
        if let Some(file) = dir.open_file(name, true)? {
            return Ok(file);
        }
        // Another process may be first.
        if let Some(file) = dir.create_new(name)? {
            dir.sync(name)?;
            return Ok(file);
        }
    }
}
