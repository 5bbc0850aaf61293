//! Faults with their places, gathered until a whole file has been read.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// The most faults that one report lists. A file of nothing but faults must not fill the memory,
/// and more would help no reader.
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
    /// The file, as the caller named it.
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

/// Proof that a fault has been noted: only [`Findings`] makes one, so everything that could not be
/// read has its line in the report.
#[derive(Clone, Copy)]
pub(crate) struct Noted(());

/// What reading a part of the file gives.
pub(crate) type Reading<T> = Result<T, Noted>;

/// The faults and warnings found in a file so far.
pub(crate) struct Findings {
    /// The folder that relative paths count from; empty: the working directory.
    pub(crate) folder: PathBuf,
    noted: RefCell<Lists>,
}

#[derive(Default)]
struct Lists {
    faults: Vec<Fault>,
    omitted: usize,
    warnings: Vec<(Place, String)>,
}

impl Findings {
    /// Findings in a file whose relative paths count from `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let noted = RefCell::default();
        Self { folder, noted }
    }

    /// Notes a fault that needs no advice.
    pub(crate) fn fault(&self, place: Place, message: impl Into<String>) -> Noted {
        self.note(place, message.into(), None)
    }

    /// Notes a fault and what to do about it.
    pub(crate) fn fault_with_help(
        &self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Noted {
        self.note(place, message.into(), Some(help.into()))
    }

    /// Notes something that works but is probably not meant.
    pub(crate) fn warn(&self, place: Place, message: impl Into<String>) {
        let mut noted = self.noted.borrow_mut();
        noted.warnings.push((place, message.into()));
    }

    /// Whether further faults are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.noted.borrow().faults.len() == MAX_FAULTS
    }

    /// Counts a fault for which there is no room.
    pub(crate) fn omit(&self) {
        self.noted.borrow_mut().omitted += 1;
    }

    fn note(&self, place: Place, message: String, help: Option<String>) -> Noted {
        if self.is_full() {
            self.omit();
        } else {
            self.noted.borrow_mut().faults.push(Fault {
                place,
                message,
                help,
            });
        }
        Noted(())
    }

    /// What was read, with the warnings as lines, where nothing is wrong; else the report.
    pub(crate) fn conclude<T>(
        self,
        read: Reading<T>,
        file_name: &str,
    ) -> Result<(T, Vec<String>), Report> {
        let Lists {
            mut faults,
            omitted,
            mut warnings,
        } = self.noted.into_inner();
        match read {
            Ok(read) if faults.is_empty() => {
                warnings.sort_by_key(|(place, _)| *place);
                let line = |(Place { line, column }, message): (Place, String)| {
                    format!("{file_name}:{line}:{column}: {message}")
                };
                Ok((read, warnings.into_iter().map(line).collect()))
            }
            _ => {
                faults.sort_by_key(|fault| fault.place);
                Err(Report {
                    file_name: file_name.to_owned(),
                    faults,
                    omitted,
                })
            }
        }
    }
}

/// A report of one fault.
pub(crate) fn single(file_name: &str, place: Place, message: &str, help: &str) -> Report {
    Report {
        file_name: file_name.to_owned(),
        faults: vec![Fault {
            place,
            message: message.to_owned(),
            help: Some(help.to_owned()),
        }],
        omitted: 0,
    }
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
