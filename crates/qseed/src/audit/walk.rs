//! Goes through the lines of a set.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::Path;

use super::lines::Line;
use super::set::Set;
use super::text::unreadable;
use crate::exit::{Code, Failure};

/// Where something stands in a set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a Path,
    /// The number of the line, from 1.
    pub(crate) line: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What stands there.
pub(crate) enum Item<'a> {
    /// A line.
    Line(Line<'a>),
    /// Nothing that can be read, from here to the end of the file.
    Unreadable(io::Error),
}

/// Gives each line of the files to `visit`, which may end it.
///
/// # Errors
/// Those of `visit`.
pub(crate) fn walk(
    set: &Set,
    mut visit: impl FnMut(Place<'_>, Item<'_>) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    for file in &set.files {
        let mut place = Place {
            file: &file.path,
            line: 0,
        };
        let mut lines = match file.lines() {
            Ok(lines) => lines,
            Err(why) => {
                if visit(place, Item::Unreadable(why))?.is_break() {
                    return Ok(());
                }
                continue;
            }
        };
        loop {
            let item = match lines.next() {
                Ok(None) => break,
                Ok(Some(line)) => Item::Line(line),
                Err(why) => Item::Unreadable(why),
            };
            let is_end = matches!(item, Item::Unreadable(_));
            place.line += 1;
            if visit(place, item)?.is_break() {
                return Ok(());
            }
            if is_end {
                break;
            }
        }
    }
    Ok(())
}

/// Why the rest of a file cannot be read.
pub(crate) fn unreadable_part(place: Place<'_>, why: &io::Error) -> Failure {
    let (code, advice) = match why.kind() {
        ErrorKind::NotFound => (
            Code::TryLater,
            "; the daemon removed it meanwhile, so run the command again",
        ),
        ErrorKind::PermissionDenied => return unreadable(place.file, why),
        // What gzip says of a damaged file.
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
            (Code::Changed, "; the file is damaged or cut off")
        }
        _ => (Code::Internal, ""),
    };
    Failure::new(code, format!("{place}: {why}{advice}"))
}
