//! How commands end: one line that says what, why and what to do, and a code of sysexits.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Exit codes, as sysexits.h names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Code {
    /// The command line is wrong.
    Usage = 64,
    /// A ledger was changed.
    Changed = 65,
    /// A source, a token or the running daemon is out of reach, or a token refuses.
    Unavailable = 69,
    /// A fault of qseed's own or of the system.
    Internal = 70,
    /// Something may be different later.
    TryLater = 75,
    /// Permission.
    Permission = 77,
    /// The configuration is wrong.
    Configuration = 78,
}

/// Why a command failed: a line, or several where several things are wrong. It displays as one
/// line all the same, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{}", text.lines().collect::<Vec<_>>().join("; "))]
pub(crate) struct Failure {
    pub(crate) code: Code,
    text: String,
}

impl Failure {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// A failure of the system's that nobody expects.
    pub(crate) fn internal(what: &str, why: impl fmt::Display) -> Self {
        Self::new(Code::Internal, format!("{what}: {why}"))
    }

    /// The failure with one more line.
    pub(crate) fn with_line(mut self, line: &str) -> Self {
        self.text.push('\n');
        self.text.push_str(line);
        self
    }

    /// Says why on standard error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        for line in self.text.lines() {
            remark(line);
        }
        ExitCode::from(self.code as u8)
    }
}

/// Writes a line to standard error, which nobody may be reading.
pub(crate) fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "qseed: {line}");
}

#[cfg(test)]
mod tests {
    use super::{Code, Failure};

    #[test]
    fn several_faults_are_one_line_of_the_log() {
        let failure = Failure::new(Code::Configuration, "a.yml:1:1: x").with_line("a.yml:2:1: y");
        assert_eq!(failure.to_string(), "a.yml:1:1: x; a.yml:2:1: y");
    }
}
