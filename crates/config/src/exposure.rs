//! The secrets of a configuration, and files that other users can read or change and should not.

use std::fmt;
use std::path::{Path, PathBuf};

use qseed_secrets::{Exposed, SecretRef, exposed};

/// A secret of the configuration.
#[derive(Debug)]
pub struct NamedSecret<'config> {
    /// What it is, such as `the PIN of partition a`.
    pub what: String,
    /// Where it is.
    pub reference: &'config SecretRef,
}

/// A file that other users can read or change, and should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The file.
    pub path: PathBuf,
    /// What of it is secret or trusted.
    pub what: String,
    /// What other users can do with it.
    pub fault: Exposed,
}

impl Exposure {
    /// Every way in which the file with a secret is exposed. None where it cannot be examined:
    /// reading it says why.
    #[must_use]
    pub fn of_secret(path: &Path, what: &str) -> Vec<Self> {
        let faults = exposed(path).unwrap_or_default();
        let of = |fault| Self::new(path, what, fault);
        faults.into_iter().map(of).collect()
    }

    pub(crate) fn new(path: &Path, what: impl Into<String>, fault: Exposed) -> Self {
        Self {
            path: path.to_owned(),
            what: what.into(),
            fault,
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn fix(&self) -> String {
        let path = shell_quoted(&self.path.to_string_lossy());
        match self.fault {
            Exposed::Readable => format!("run: chmod o-rwx {path}"),
            Exposed::Writable => format!("run: chmod go-w {path}"),
            Exposed::Owned(_) => match rustix::process::geteuid().as_raw() {
                0 => format!("run qseed as that user, or run: chown root {path}"),
                user => format!("run: chown {user} {path}"),
            },
        }
    }

    /// The fault without its fix.
    #[must_use]
    pub fn text(&self) -> String {
        let (path, what) = (self.path.display(), &self.what);
        match self.fault {
            Exposed::Readable => format!("{path}: other users can read {what}"),
            Exposed::Writable => format!("{path}: other users can change {what}"),
            Exposed::Owned(user) => format!("{path}: user {user} owns and can change {what}"),
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.text(), self.fix())
    }
}

/// A word, in quotes where a shell needs them.
#[must_use]
pub fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::shell_quoted;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_need_it() {
        assert_eq!(shell_quoted("issuing-ca"), "issuing-ca");
        assert_eq!(shell_quoted("issuing ca"), "'issuing ca'");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
        assert_eq!(shell_quoted("-rf"), "'-rf'");
    }
}
