//! Short texts that were named: checkpoints and keys.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

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
        _ => (Code::Internal, ""),
    };
    Failure::new(
        code,
        format!("cannot read {}: {why}{advice}", path.display()),
    )
}
