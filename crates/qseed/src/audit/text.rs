//! Short texts that were named: checkpoints and keys.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::exit::{Code, Failure};

/// The longest checkpoint, in bytes: 64 signatures with ML-DSA are 210 kB.
pub(crate) const LONGEST_NOTE: u64 = 256 * 1024;

/// Reads a short text.
///
/// # Errors
/// As [`unreadable`].
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    let unreadable = |why| unreadable(path, &why);
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(limit + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > limit {
        return Err(unreadable(ErrorKind::FileTooLarge.into()));
    }
    Ok(text)
}

/// Reads a short text that lies beside a ledger, where others may have put anything. What is not
/// UTF-8 is replaced, so that verification finds that it is no note.
///
/// # Errors
/// [`Code::Changed`] for what is not a file; else as [`unreadable`].
pub(crate) fn read_beside(path: &Path, limit: u64) -> Result<String, Failure> {
    let unreadable = |why| unreadable(path, &why);
    let mut bytes = Vec::new();
    let file = open_file(path).map_err(unreadable)?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens a regular file, and never waits for a pipe or a device in its place.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "it is not a file"))
    }
}

/// Why a file that was named cannot be read.
pub(crate) fn unreadable(path: &Path, why: &io::Error) -> Failure {
    let (code, advice) = match why.kind() {
        ErrorKind::NotFound => (Code::Usage, "; name the ledger's file"),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
            (Code::Usage, "; name the ledger's file, not its folder")
        }
        ErrorKind::PermissionDenied => (
            Code::Permission,
            "; run the command as the user that the daemon runs as, or as root",
        ),
        ErrorKind::InvalidInput => (Code::Changed, "; something else was put in its place"),
        ErrorKind::InvalidData => (Code::Usage, "; it is no checkpoint and has no keys"),
        ErrorKind::FileTooLarge => (Code::Usage, ""),
        _ => (Code::Internal, ""),
    };
    Failure::new(
        code,
        format!("cannot read {}: {why}{advice}", path.display()),
    )
}
