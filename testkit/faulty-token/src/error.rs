//! What can go wrong with the module's folder.

use std::io;
use std::path::PathBuf;

/// Why a faulty token cannot be steered or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The steering file says something that makes no sense.
    #[error("the steering file is wrong: {0}")]
    Steering(String),
    /// A file of the folder cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the record cannot be understood.
    #[error("{path}, line {line}: {source}")]
    Record {
        /// The record.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The built module is nowhere near the running program.
    #[error(
        "{} is not in {searched:?}: build it (cargo build -p qseed-faulty-token)",
        crate::MODULE_FILE
    )]
    NoModule {
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// Nothing that was waited for came.
    #[error("what was waited for did not come; the record's last lines: {last:#?}")]
    TimedOut {
        /// The record's last entries.
        last: Vec<crate::Record>,
    },
}

impl Error {
    /// An I/O error with its file, for `map_err`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
