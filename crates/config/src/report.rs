//! Faults with their places, gathered until a whole file has been read.

use std::fmt;
use std::path::{Path, PathBuf};

/// The most faults that one report lists. A file of nothing but faults must not fill the memory,
/// and nobody reads further.
const MAX_FAULTS: usize = 1_000;

/// A place in a file. Both numbers count from one; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Place {
    /// The beginning of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong in a configuration, in words that hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub place: Place,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it, without a full stop.
    pub help: Option<String>,
}

/// Every fault of one file, in the order of their places. Printed, each is a line of the form
/// `FILE:LINE:COLUMN: message; help`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file_name: String,
    faults: Vec<Fault>,
    omitted: usize,
}

impl Report {
    /// The file, as it was named by whoever asked for it.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The faults, at least one, in the order of their places.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The number of faults beyond the first thousand, which are counted only.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let Place { line, column } = fault.place;
            write!(f, "{}:{line}:{column}: {}", self.file_name, fault.message)?;
            if let Some(help) = &fault.help {
                write!(f, "; {help}")?;
            }
        }
        if self.omitted > 0 {
            write!(
                f,
                "\n{}: {} more faults are not shown",
                self.file_name, self.omitted
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// A fault has been noted. Only [`Findings`] makes one, so whatever fails to be read has its line
/// in the report.
#[derive(Clone, Copy)]
pub(crate) struct Noted(());

/// What reading a part of the file gives.
pub(crate) type Reading<T> = Result<T, Noted>;

/// What reading a file has brought to light so far.
#[derive(Default)]
pub(crate) struct Findings {
    /// The folder that relative paths count from; empty: the working directory.
    pub(crate) folder: PathBuf,
    faults: Vec<Fault>,
    omitted: usize,
    warnings: Vec<(Place, String)>,
}

impl Findings {
    /// A module's path. A name without a folder is not relative to the file: the system looks for
    /// it where its libraries are.
    pub(crate) fn module(&self, path: PathBuf) -> PathBuf {
        if path.parent() == Some(Path::new("")) {
            return path;
        }
        self.folder.join(path)
    }

    /// Notes a fault that needs no advice.
    pub(crate) fn fault(&mut self, place: Place, message: impl Into<String>) -> Noted {
        self.note(place, message.into(), None)
    }

    /// Notes a fault and what to do about it.
    pub(crate) fn fault_with_help(
        &mut self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Noted {
        self.note(place, message.into(), Some(help.into()))
    }

    /// Notes something that works but is probably not meant.
    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.warnings.push((place, message.into()));
    }

    /// Whether further faults are only counted, so that finding words for them is in vain.
    pub(crate) fn is_full(&self) -> bool {
        self.faults.len() == MAX_FAULTS
    }

    /// Counts a fault for which there is no room.
    pub(crate) fn omit(&mut self) {
        self.omitted += 1;
    }

    fn note(&mut self, place: Place, message: String, help: Option<String>) -> Noted {
        if self.is_full() {
            self.omit();
        } else {
            self.faults.push(Fault {
                place,
                message,
                help,
            });
        }
        Noted(())
    }

    /// What was read, with the warnings as lines, where nothing is wrong; else the report.
    pub(crate) fn conclude<T>(
        mut self,
        read: Reading<T>,
        file_name: &str,
    ) -> Result<(T, Vec<String>), Report> {
        match read {
            Ok(read) if self.faults.is_empty() => {
                self.warnings.sort_by_key(|(place, _)| *place);
                let line = |(Place { line, column }, message): (Place, String)| {
                    format!("{file_name}:{line}:{column}: {message}")
                };
                Ok((read, self.warnings.into_iter().map(line).collect()))
            }
            _ => Err(self.into_report(file_name)),
        }
    }

    /// The report. The caller has noted a fault.
    pub(crate) fn into_report(mut self, file_name: &str) -> Report {
        self.faults.sort_by_key(|fault| fault.place);
        Report {
            file_name: file_name.to_owned(),
            faults: self.faults,
            omitted: self.omitted,
        }
    }
}

/// A report of one fault.
pub(crate) fn single(
    file_name: &str,
    place: Place,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Report {
    let mut findings = Findings::default();
    findings.fault_with_help(place, message, help);
    findings.into_report(file_name)
}

/// A value as a fault shows it: one line of at most 40 characters that no terminal obeys.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
