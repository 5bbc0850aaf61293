//! Why a state directory cannot be used, with what to do.

use std::io;
use std::path::{Path, PathBuf};

use qseed_config::shell_quoted;

use crate::exit::Code;

/// What to do with something that is not qseed's.
const MOVE: &str = "move it away";

/// Why a state directory, or a file in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// Another user owns it, who could have written anything there.
    #[error(
        "{path} belongs to user {owner}, not to root or qseed's own user; {}",
        chown(.path, *.wanted)
    )]
    NotOurs {
        path: PathBuf,
        owner: u32,
        wanted: u32,
    },
    /// Others can write it.
    #[error("{path} can be written by other users (mode {mode:04o}); {}", chmod(.path, *.mode))]
    WritableByOthers { path: PathBuf, mode: u32 },
    /// It is secret, and others can read or write it.
    #[error("{path} can be read or written by other users (mode {mode:04o}); {}", keep_private(.path))]
    OpenToOthers { path: PathBuf, mode: u32 },
    /// It is a link, a pipe, a folder or a device.
    #[error("{path} is no regular file; {MOVE}")]
    NotAFile { path: PathBuf },
    /// It is far longer than such a file gets.
    #[error("{path} is longer than {limit} bytes, so qseed did not write it; {MOVE}")]
    TooLong { path: PathBuf, limit: u64 },
}

impl StateDirError {
    /// What is wrong, and what to do where that is known.
    pub(crate) fn with_fix(&self) -> (String, Option<String>) {
        let fix = match self {
            Self::Io { .. } => None,
            Self::NotOurs { path, wanted, .. } => Some(chown(path, *wanted)),
            Self::WritableByOthers { path, mode } => Some(chmod(path, *mode)),
            Self::OpenToOthers { path, .. } => Some(keep_private(path)),
            Self::NotAFile { .. } | Self::TooLong { .. } => Some(MOVE.to_owned()),
        };
        let mut what = self.to_string();
        if let Some(fix) = &fix {
            let end = format!("; {fix}");
            what.truncate(what.strip_suffix(&end).map_or(what.len(), str::len));
        }
        (what, fix)
    }

    /// The exit code that tells what is wrong.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NotOurs { .. }
            | Self::WritableByOthers { .. }
            | Self::OpenToOthers { .. }
            | Self::NotAFile { .. } => Code::Permission,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Code::Permission
                }
                io::ErrorKind::NotADirectory => Code::Configuration,
                io::ErrorKind::NotFound => Code::Unavailable,
                _ => Code::Internal,
            },
            Self::TooLong { .. } => Code::Internal,
        }
    }
}

fn chown(path: &Path, owner: u32) -> String {
    format!("run: chown {owner} {}", quoted(path))
}

fn chmod(path: &Path, mode: u32) -> String {
    // A folder like /tmp, which others need.
    if mode & 0o1000 != 0 {
        return "use a folder of qseed's own as `state_dir`".to_owned();
    }
    format!("run: chmod go-w {}", quoted(path))
}

fn keep_private(path: &Path) -> String {
    format!("run: chmod go-rwx {}", quoted(path))
}

fn quoted(path: &Path) -> String {
    shell_quoted(&path.to_string_lossy())
}
