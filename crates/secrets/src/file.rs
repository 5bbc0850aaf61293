//! Reading small files that others wrote: only regular files, and never more than a limit.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("{0}")]
    NoFile(&'static str),
    /// It is longer than the limit.
    #[error("it is too long")]
    TooLong,
}

/// Opens a regular file, links followed, and waits for nobody: opening a pipe would wait for its
/// writer, and a device may never end.
///
/// # Errors
/// [`NotRead::Io`] and [`NotRead::NoFile`].
pub fn open_regular(path: &Path) -> Result<(File, Metadata), NotRead> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(NotRead::NoFile("it is a folder"));
    }
    if !metadata.is_file() {
        return Err(NotRead::NoFile("it is a device or a pipe"));
    }
    Ok((file, metadata))
}

/// Reads a regular file of at most `limit` bytes into memory that is wiped when dropped.
///
/// # Errors
/// [`NotRead`].
pub fn read_regular(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, NotRead> {
    let (file, metadata) = open_regular(path)?;
    if metadata.len() > limit as u64 {
        return Err(NotRead::TooLong);
    }
    // Room for all of it at once, and a byte more to notice the end: a growing buffer would leave
    // copies behind.
    let room = usize::try_from(metadata.len()).map_err(|_| NotRead::TooLong)? + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(room as u64).read_to_end(&mut bytes)?;
    if bytes.len() == room {
        return Err(io::Error::other("it grew while it was read").into());
    }
    Ok(bytes)
}

/// What other users can do with a file that they should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposed {
    /// It belongs to this user, who is neither root nor the one that qseed runs as.
    Owned(u32),
    /// Its group or others can write it.
    Writable,
    /// Others than its owner and group can read it.
    Readable,
}

/// What other users can do with the file that `path` leads to. Of a folder or a device nothing
/// is said: reading it says that it is one, and no chmod would mend that.
///
/// # Errors
/// What the system says where the file cannot be examined.
pub fn exposed(path: &Path) -> io::Result<Vec<Exposed>> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Ok(Vec::new());
    }
    let user = rustix::process::geteuid().as_raw();
    Ok(faults(about.mode(), about.uid(), user))
}

pub(crate) fn faults(mode: u32, owner: u32, user: u32) -> Vec<Exposed> {
    let found = [
        (owner != 0 && owner != user).then_some(Exposed::Owned(owner)),
        (mode & 0o022 != 0).then_some(Exposed::Writable),
        (mode & 0o004 != 0).then_some(Exposed::Readable),
    ];
    found.into_iter().flatten().collect()
}
