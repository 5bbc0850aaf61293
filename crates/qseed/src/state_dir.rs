//! The state directory: qseed opens its files relative to the folder, never through links, and only
//! if nobody else could have written them.

mod error;
mod shared_file;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RenameFlags, Uid};

pub(crate) use error::StateDirError;
pub(crate) use shared_file::{Found, SharedFile};

/// How the name of a file begins that has not got its own name yet.
const NEW: &str = ".qseed-";

/// For whom a state directory is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acting {
    /// For the user that runs this process: the folder belongs to that user or to root.
    ForItself,
    /// For the folder's owner, where root runs this process: what it makes belongs to that owner.
    ForOwner,
}

/// An open state directory.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    acting: Acting,
    folder: File,
    owner: (u32, u32),
}

impl StateDir {
    /// Opens it where it is there.
    pub(crate) fn open(path: &Path, acting: Acting) -> Result<Self, StateDirError> {
        let io = |source: io::Error| StateDirError::Io {
            path: path.to_owned(),
            source,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|why| io(why.into()))?;
        let folder = File::from(folder);
        let meta = folder.metadata().map_err(io)?;
        let us = rustix::process::geteuid().as_raw();
        let ours = meta.uid() == 0 || meta.uid() == us;
        if !ours && (acting == Acting::ForItself || us != 0) {
            return Err(StateDirError::NotOurs {
                path: path.to_owned(),
                owner: meta.uid(),
                wanted: us,
            });
        }
        not_writable_by_others(path, meta.mode())?;
        Ok(Self {
            path: path.to_owned(),
            acting,
            folder,
            owner: (meta.uid(), meta.gid()),
        })
    }

    /// Opens it, and makes it where it is missing.
    pub(crate) fn create(path: &Path) -> Result<Self, StateDirError> {
        match DirBuilder::new().recursive(true).mode(0o700).create(path) {
            // Opening it says that it is no folder.
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                let path = path.to_owned();
                Err(StateDirError::Io { path, source })
            }
            _ => {
                let dir = Self::open(path, Acting::ForItself)?;
                // Left by a process that was killed while it replaced a file.
                dir.remove_abandoned(NEW);
                Ok(dir)
            }
        }
    }

    /// Opens what has its name now.
    pub(crate) fn again(&self) -> Result<Self, StateDirError> {
        Self::open(&self.path, self.acting)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the system says of one of its files.
    pub(crate) fn error(&self, name: &str, source: impl Into<io::Error>) -> StateDirError {
        let source = source.into();
        StateDirError::Io {
            path: self.path.join(name),
            source,
        }
    }

    /// Opens a file; none: there is none. With `append`, what is written goes to its end.
    pub(crate) fn open_file(
        &self,
        name: &str,
        append: bool,
    ) -> Result<Option<File>, StateDirError> {
        let access = if append {
            OFlags::RDWR | OFlags::APPEND
        } else {
            OFlags::RDONLY
        };
        // A pipe in its place must not hold this up.
        self.open_as(name, access | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Whether nobody else could have written a file, if it is there. Reads nothing.
    pub(crate) fn judge(&self, name: &str) -> Result<(), StateDirError> {
        self.open_as(name, OFlags::PATH).map(drop)
    }

    /// Whether nobody else could have written or read a file, if it is there. Reads nothing.
    pub(crate) fn judge_secret(&self, name: &str) -> Result<(), StateDirError> {
        let file = match self.open_as(name, OFlags::PATH) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(StateDirError::WritableByOthers { path, mode }) => {
                return Err(StateDirError::OpenToOthers { path, mode });
            }
            Err(why) => return Err(why),
        };
        let meta = file.metadata().map_err(|source| self.error(name, source))?;
        if meta.mode() & 0o077 != 0 {
            return Err(StateDirError::OpenToOthers {
                path: self.path.join(name),
                mode: meta.mode() & 0o7777,
            });
        }
        Ok(())
    }

    fn open_as(&self, name: &str, flags: OFlags) -> Result<Option<File>, StateDirError> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = || self.path.join(name);
        let file = match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::ISDIR | rustix::io::Errno::NXIO) => {
                return Err(StateDirError::NotAFile { path: path() });
            }
            Err(why) => return Err(self.error(name, why)),
        };
        let meta = file.metadata().map_err(|source| self.error(name, source))?;
        if !meta.is_file() {
            return Err(StateDirError::NotAFile { path: path() });
        }
        let us = rustix::process::geteuid().as_raw();
        if ![0, us, self.owner.0].contains(&meta.uid()) {
            return Err(StateDirError::NotOurs {
                path: path(),
                owner: meta.uid(),
                wanted: self.owner.0,
            });
        }
        not_writable_by_others(&path(), meta.mode())?;
        Ok(Some(file))
    }

    /// Reads a file of at most `limit` bytes; none: there is none.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StateDirError> {
        let Some(file) = self.open_file(name, false)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|source| self.error(name, source))?;
        if bytes.len() as u64 > limit {
            return Err(StateDirError::TooLong {
                path: self.path.join(name),
                limit,
            });
        }
        Ok(Some(bytes))
    }

    /// Whether something has this name.
    pub(crate) fn exists(&self, name: &str) -> bool {
        rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// A file's length in bytes; none: there is none.
    pub(crate) fn length(&self, name: &str) -> Option<u64> {
        let meta = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        u64::try_from(meta.st_size).ok()
    }

    /// Puts a file with this content in the place of another, or of none. The content is on the
    /// disk before the file gets its name. The file comes back open for appending, locked.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> Result<File, StateDirError> {
        self.put(name, content, RenameFlags::empty())
    }

    /// The same where no file has the name yet.
    pub(crate) fn make(&self, name: &str, content: &[u8]) -> Result<File, StateDirError> {
        self.put(name, content, RenameFlags::NOREPLACE)
    }

    fn put(&self, name: &str, content: &[u8], how: RenameFlags) -> Result<File, StateDirError> {
        let (new, file) = loop {
            let new = format!("{NEW}{:016x}", crate::random::random_number());
            if let Some(file) = self.create_new(&new)? {
                break (new, file);
            }
        };
        let written = (&file).write_all(content).and_then(|()| file.sync_all());
        let written = written.map_err(|why| self.error(name, why));
        if let Err(why) = written.and_then(|()| self.rename(&new, name, how)) {
            let _ = self.remove(&new);
            return Err(why);
        }
        self.sync(name)?;
        Ok(file)
    }

    /// Gives a file another name, which no file has yet.
    pub(crate) fn move_to(&self, name: &str, new: &str) -> Result<(), StateDirError> {
        self.rename(name, new, RenameFlags::NOREPLACE)?;
        self.sync(new)
    }

    fn rename(&self, name: &str, new: &str, how: RenameFlags) -> Result<(), StateDirError> {
        let (from, to) = (&self.folder, &self.folder);
        let renamed = match rustix::fs::renameat_with(from, name, to, new, how) {
            // Some network file systems cannot.
            Err(rustix::io::Errno::INVAL) if self.exists(new) => Err(rustix::io::Errno::EXIST),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                rustix::fs::renameat(from, name, to, new)
            }
            renamed => renamed,
        };
        renamed.map_err(|why| self.error(new, why))
    }

    /// The length of an open file in bytes, if it still has its name and nobody else can write it.
    pub(crate) fn named_length(&self, name: &str, file: &File) -> Option<u64> {
        let path = self.path.join(name);
        let named = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let open = rustix::fs::fstat(file).ok()?;
        let same = (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino);
        let length = u64::try_from(open.st_size).ok()?;
        (same && open.st_mode & 0o022 == 0).then_some(length)
    }

    /// The names of what is in it that begin with `prefix`, in order.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>, StateDirError> {
        let io = |source| StateDirError::Io {
            path: self.path.clone(),
            source,
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(io)? {
            let name = entry.map_err(io)?.file_name().into_string();
            names.extend(name.ok().filter(|name| name.starts_with(prefix)));
        }
        names.sort();
        Ok(names)
    }

    /// A file's name is on the disk only when its folder is.
    fn sync(&self, name: &str) -> Result<(), StateDirError> {
        let synced = self.folder.sync_all();
        synced.map_err(|source| self.error(name, source))
    }

    /// Makes a file with an exclusive lock on it; none: there is one already.
    pub(crate) fn create_new(&self, name: &str) -> Result<Option<File>, StateDirError> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let for_owner = Mode::RUSR | Mode::WUSR;
        let made = || -> io::Result<File> {
            let file = File::from(rustix::fs::openat(&self.folder, name, flags, for_owner)?);
            if rustix::process::geteuid().is_root() {
                let (user, group) = self.owner;
                let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
                rustix::fs::fchown(&file, Some(user), Some(group))?;
            }
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        loop {
            match made() {
                // Until it was locked, another process could take it for abandoned and remove it.
                Ok(file) if file.metadata().is_ok_and(|meta| meta.nlink() == 0) => {}
                Ok(file) => return Ok(Some(file)),
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                Err(why) => return Err(self.error(name, why)),
            }
        }
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StateDirError> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(why) => Err(self.error(name, why)),
        }
    }

    /// Whether the process that made a file with [`StateDir::create_new`] still lives. If not, the
    /// file is removed. If that cannot be found out, the process counts as living.
    pub(crate) fn is_in_use(&self, name: &str) -> bool {
        match self.open_file(name, false) {
            Ok(None) => false,
            Ok(Some(file)) => {
                let free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
                if free.is_ok() {
                    let _ = self.remove(name);
                }
                free.is_err()
            }
            Err(_) => true,
        }
    }

    /// Removes the files that begin with `prefix` and whose processes are gone.
    pub(crate) fn remove_abandoned(&self, prefix: &str) {
        for name in self.names(prefix).unwrap_or_default() {
            self.is_in_use(&name);
        }
    }
}

fn not_writable_by_others(path: &Path, mode: u32) -> Result<(), StateDirError> {
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(StateDirError::WritableByOthers {
        path: path.to_owned(),
        mode: mode & 0o7777,
    })
}
