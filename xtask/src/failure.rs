//! Why a task could not be done. A check that fails is a result, not one of these.

use std::io;

/// Why a task could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// A program that has to succeed did not.
    #[error("{command} did not succeed:\n{output}")]
    Command { command: String, output: String },
    /// Anything else, with what to do.
    #[error("{0}")]
    Said(String),
    /// Somebody asked for the end.
    #[error("stopped")]
    Stopped,
}

impl Failure {
    /// Gives an I/O error its context.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// A failure in words.
    pub(crate) fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }
}
