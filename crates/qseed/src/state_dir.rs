//! The state directory: qseed opens its files relative to the folder, never through links, and only
//! if nobody else could have written them.

mod error;
mod shared_file;

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Gid, Mode, OFlags, Uid};

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
        let (new, file) = loop {
            let new = format!("{NEW}{:016x}", crate::random::random_number());
            if let Some(file) = self.create_new(&new)? {
                break (new, file);
            }
        };
        let written = (&file).write_all(content).and_then(|()| file.sync_all());
        let named = written.and_then(|()| {
            Ok(rustix::fs::renameat(
                &self.folder,
                &new,
                &self.folder,
                name,
            )?)
        });
        if let Err(why) = named {
            let _ = self.remove(&new);
            return Err(self.error(name, why));
        }
        self.sync(name)?;
        Ok(file)
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
        let entries = std::fs::read_dir(&self.path).into_iter().flatten();
        for entry in entries.flatten() {
            if let Some(name) = entry
                .file_name()
                .to_str()
                .filter(|it| it.starts_with(prefix))
            {
                self.is_in_use(name);
            }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{Acting, Found, SharedFile, StateDir, StateDirError};
    use crate::exit::Code;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn open(path: &Path) -> Result<StateDir, StateDirError> {
        StateDir::open(path, Acting::ForItself)
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
    }

    #[test]
    fn a_file_behind_a_link_is_neither_read_nor_written() {
        let (folder, elsewhere) = (folder(), folder());
        let victim = elsewhere.path().join("victim");
        std::fs::write(&victim, "precious").expect("written");
        symlink(&victim, folder.path().join("file")).expect("linked");
        let state = open(folder.path()).expect("a state directory");
        for append in [false, true] {
            let opened = state.open_file("file", append);
            assert!(matches!(opened, Err(StateDirError::NotAFile { .. })));
        }
        let judged = state.judge("file");
        assert!(matches!(judged, Err(StateDirError::NotAFile { .. })));
        state.replace("file", b"new").expect("replaced");
        assert_eq!(std::fs::read(&victim).expect("there"), b"precious");
        let content = state.read("file", 10).expect("readable");
        assert_eq!(content.as_deref(), Some(&b"new"[..]));
        let left = std::fs::read_dir(folder.path()).expect("a folder");
        assert_eq!(left.count(), 1, "nothing else is left");
    }

    /// As systemd makes it for a service with `DynamicUser=`.
    #[test]
    fn the_folder_itself_may_be_a_link() {
        let folder = folder();
        let link = folder.path().join("link");
        std::fs::create_dir(folder.path().join("private")).expect("made");
        symlink("private", &link).expect("linked");
        let state = StateDir::create(&link).expect("a state directory");
        let mut file = SharedFile::open(state, "file", 10);
        let file = file.as_mut().expect("made");
        let found = file.lock().expect("locked");
        assert!(matches!(found, Found::Replaced(text) if text.is_empty()));
        file.append("b\n", true).expect("written");
        assert!(file.is_known() && link.join("file").exists());
    }

    #[test]
    fn a_pipe_or_folder_in_the_place_of_a_file_holds_nothing_up() {
        let folder = folder();
        let state = open(folder.path()).expect("a state directory");
        std::fs::create_dir(folder.path().join("folder")).expect("made");
        let pipe = rustix::fs::CWD;
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(pipe, &path, rustix::fs::FileType::Fifo, mode, 0).expect("made");
        for name in ["folder", "pipe"] {
            for append in [false, true] {
                let opened = state.open_file(name, append);
                assert!(
                    matches!(opened, Err(StateDirError::NotAFile { .. })),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn what_others_can_write_is_refused_with_the_chmod() {
        let folder = folder();
        let path = folder.path().join("state");
        let state = StateDir::create(&path).expect("made");
        state.replace("file", b"x").expect("made");
        set_mode(&path.join("file"), 0o644);
        state.judge("file").expect("only readable");
        let why = state.judge_secret("file").expect_err("readable by others");
        assert!(why.fix().is_some_and(|fix| fix.contains("go-rwx")));
        set_mode(&path.join("file"), 0o622);
        for opened in [state.read("file", 10).map(drop), state.judge("file")] {
            let why = opened.expect_err("writable by others");
            assert!(why.to_string().contains("chmod go-w"), "{why}");
        }
        set_mode(&path, 0o777);
        let why = open(&path).expect_err("writable by others");
        set_mode(&path, 0o1777);
        let shared = open(&path).expect_err("a shared folder").to_string();
        assert!(!shared.contains("chmod"), "{shared}");
        assert!(
            why.code() == Code::Permission && why.to_string().contains("0777"),
            "{why}"
        );
    }

    #[test]
    fn root_does_not_use_a_strangers_directory_for_itself_and_gives_him_what_it_makes_for_him() {
        let is_root = rustix::process::geteuid().is_root();
        assert!(is_root, "this test needs root");
        let folder = folder();
        std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).expect("given away");
        let why = open(folder.path()).expect_err("a stranger's");
        assert!(matches!(why, StateDirError::NotOurs { owner: 65534, .. }));
        let state = StateDir::open(folder.path(), Acting::ForOwner).expect("for him");
        let file = state.replace("file", b"x").expect("made");
        let meta = file.metadata().expect("a file");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&meta), 65534);
    }

    #[test]
    fn the_next_start_removes_what_a_killed_process_left_and_nothing_else() {
        let folder = folder();
        let state = StateDir::create(folder.path()).expect("a state directory");
        let in_use = state.create_new(".qseed-1").expect("made").expect("new");
        for name in [".qseed-2", ".other"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        StateDir::create(folder.path()).expect("a state directory");
        let left = [".qseed-1", ".qseed-2", ".other"].map(|name| state.exists(name));
        assert_eq!(left, [true, false, true]);
        drop(in_use);
        StateDir::create(folder.path()).expect("a state directory");
        assert!(!state.exists(".qseed-1"));
    }

    #[test]
    fn the_advice_can_be_pasted_into_a_shell() {
        let folder = folder();
        let path = folder.path().join("a state's folder");
        StateDir::create(&path).expect("made");
        set_mode(&path, 0o777);
        let why = open(&path).expect_err("writable by others").to_string();
        assert!(why.contains(r"run: chmod go-w '/"), "{why}");
        assert!(why.ends_with(r"/a state'\''s folder'"), "{why}");
    }

    #[test]
    fn a_long_file_is_not_read() {
        let folder = folder();
        let state = open(folder.path()).expect("a state directory");
        state.replace("file", &[7; 11]).expect("written");
        let read = state.read("file", 10);
        assert!(matches!(read, Err(StateDirError::TooLong { .. })));
        assert!(state.read("other", 10).expect("no file").is_none());
    }
}
