//! Reading small files that others wrote: only regular files, and never more than a limit.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// Opens a regular file, links followed, and waits for nobody: opening a pipe would wait for its
/// writer, and a device may never end.
///
/// # Errors
/// What the system says, or that it is no regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok((file, metadata));
    }
    let is = if kind.is_dir() {
        "a folder"
    } else {
        "a device or a pipe"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {is}"),
    ))
}

/// Reads a regular file of at most `limit` bytes into memory that is wiped when dropped.
///
/// # Errors
/// What the system says, that it is no regular file, or [`io::ErrorKind::FileTooLarge`].
pub fn read_regular(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let (mut file, metadata) = open_regular(path)?;
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if length > limit {
        let why = format!("it is longer than {} KiB", limit / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let bytes = read_at_most(&mut file, length)?;
    bytes.ok_or_else(|| io::Error::other("it grew while it was read"))
}

/// Reads to the end, or `None` where there are more than `limit` bytes. `read_to_end` would read
/// the first bytes of a short file into its stack frame, and a growing buffer leaves copies behind.
///
/// # Errors
/// What the system says.
pub fn read_at_most(from: &mut impl Read, limit: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // A byte more, to notice the end.
    let mut bytes = Zeroizing::new(vec![0; limit + 1]);
    let mut filled = 0;
    while filled <= limit {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => {
                bytes.truncate(filled);
                return Ok(Some(bytes));
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
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
