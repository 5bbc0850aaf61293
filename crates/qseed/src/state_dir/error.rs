//! Why a state directory cannot be used, with what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use qseed_config::shell_quoted;

use crate::exit::Code;

/// Why a state directory, or a file in it, cannot be used.
#[derive(Debug)]
pub(crate) enum StateDirError {
    /// The system refuses.
    Io { path: PathBuf, source: io::Error },
    /// Another user owns it, and could have written anything there.
    NotOurs {
        path: PathBuf,
        owner: u32,
        wanted: u32,
    },
    /// Others can write it.
    WritableByOthers { path: PathBuf, mode: u32 },
    /// It is secret, and others can read or write it.
    OpenToOthers { path: PathBuf, mode: u32 },
    /// It is a link, a pipe, a folder or a device.
    NotAFile { path: PathBuf },
    /// It is far longer than such a file gets.
    TooLong { path: PathBuf, limit: u64 },
}

impl StateDirError {
    /// What is wrong.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Io { path, source } => format!("{}: {source}", path.display()),
            Self::NotOurs { path, owner, .. } => format!(
                "{} belongs to user {owner}, not to root or qseed's own user",
                path.display()
            ),
            Self::WritableByOthers { path, mode } => format!(
                "{} can be written by other users (mode {mode:04o})",
                path.display()
            ),
            Self::OpenToOthers { path, mode } => format!(
                "{} can be read or written by other users (mode {mode:04o})",
                path.display()
            ),
            Self::NotAFile { path } => format!("{} is no regular file", path.display()),
            Self::TooLong { path, limit } => format!(
                "{} is longer than {limit} bytes, so qseed did not write it",
                path.display()
            ),
        }
    }

    /// What to do, if that is known.
    pub(crate) fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Io { .. } => return None,
            Self::NotOurs { path, wanted, .. } => format!("run: chown {wanted} {}", quoted(path)),
            // A folder like /tmp, which others need.
            Self::WritableByOthers { mode, .. } if mode & 0o1000 != 0 => {
                "use a folder of qseed's own as `state_dir`".to_owned()
            }
            Self::WritableByOthers { path, .. } => format!("run: chmod go-w {}", quoted(path)),
            Self::OpenToOthers { path, .. } => format!("run: chmod go-rwx {}", quoted(path)),
            Self::NotAFile { .. } | Self::TooLong { .. } => "move it away".to_owned(),
        })
    }

    /// The exit code for it.
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

impl fmt::Display for StateDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        self.fix().map_or(Ok(()), |fix| write!(f, "; {fix}"))
    }
}

impl std::error::Error for StateDirError {}

fn quoted(path: &Path) -> String {
    shell_quoted(&path.to_string_lossy())
}
