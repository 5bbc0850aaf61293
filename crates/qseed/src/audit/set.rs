//! The files of one ledger: the one that was named, and those of the same origin beside it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, ErrorKind, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use serde::Deserialize;

use super::lines::{Line, Lines, unpacked};
use super::text::{LONGEST_NOTE, open_file, read_beside, unreadable};
use crate::exit::{Code, Failure};
use crate::ledger::checkpoint_file;
use crate::ledger::names::{COMPRESSED, Names, Older, short};

/// The files of a ledger in the order of their records.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) files: Vec<SetFile>,
    /// The newest checkpoint of the ledger and the newest that witnesses cosigned, as files beside it
    /// have them.
    pub(crate) signed: Vec<(PathBuf, String)>,
}

/// A file of a set.
#[derive(Debug)]
pub(crate) struct SetFile {
    pub(crate) path: PathBuf,
    /// The current file, since another one may take its name at any time, and what can be read
    /// only once.
    open: Option<File>,
}

/// What the first record of a file says of the ledger.
#[derive(Deserialize)]
struct First {
    origin: String,
    previous: Option<Previous>,
}

/// The ledger before.
#[derive(Deserialize)]
struct Previous {
    origin: String,
}

impl Set {
    /// The set that `path` belongs to; `-` is standard input.
    ///
    /// # Errors
    /// [`Code::Usage`] where there is no such file, [`Code::Permission`] where it cannot be read.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let path = match path {
            stdin if stdin == Path::new("-") => Path::new("/dev/stdin"),
            path => path,
        };
        let unreadable = |why: io::Error| unreadable(path, &why);
        let meta = metadata(path).map_err(|why| gone(path).unwrap_or_else(|| unreadable(why)))?;
        if meta.is_dir() {
            return Err(unreadable(ErrorKind::IsADirectory.into()));
        }
        let name = path.file_name().and_then(OsStr::to_str);
        let Some(name) = name.filter(|_| meta.is_file()) else {
            // A pipe is read once, and nothing lies beside it.
            return Ok(Self {
                files: vec![SetFile::open_now(path).map_err(unreadable)?],
                signed: Vec::new(),
            });
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let Some(older) = Older::parse(name) else {
            let names = Names::of(path);
            // Before the records, since a live ledger grows meanwhile.
            let signed = signed_files(folder, &names)?;
            let current = SetFile::open_now(path).map_err(unreadable)?;
            return Ok(Self::beside(folder, &names, None, Some(current), signed));
        };
        let [usual, bare] = older.ledgers();
        let has_bare = folder.join(&bare.current).exists();
        let names = if has_bare { bare } else { usual };
        let signed = signed_files(folder, &names)?;
        let current = folder.join(&names.current);
        let current = open_file(&current).ok().map(|open| SetFile {
            path: current,
            open: Some(open),
        });
        Ok(Self::beside(
            folder,
            &names,
            Some(older.origin),
            current,
            signed,
        ))
    }

    /// The older files of an origin, which is that of the current file if none is given, and behind
    /// them the current file, if it is of this origin.
    fn beside(
        folder: &Path,
        names: &Names,
        origin: Option<&str>,
        current: Option<SetFile>,
        mut signed: Vec<(PathBuf, String)>,
    ) -> Self {
        let first = current.as_ref().and_then(SetFile::first);
        let of_current = first.as_ref().map(|first| short(&first.origin));
        let current = current.filter(|_| origin.is_none() || origin == of_current);
        // Where the first record is damaged, or the file is empty, the checkpoint beside it says whose
        // it was.
        let of_signed = signed.first().map(|(_, note)| origin_of(note).to_owned());
        let origin = origin.or(of_current).or(of_signed.as_deref());
        let origin = origin.unwrap_or_default();
        // Until a new origin is signed, the files of the one before lie there.
        let before = first.as_ref().and_then(|first| first.previous.as_ref());
        let before = before.map(|before| short(&before.origin));
        signed.retain(|(_, note)| {
            let of = origin_of(note);
            of == origin || (current.is_some() && Some(of) != before)
        });
        let mut older = older_files(folder, names, origin);
        // One that was rotated after the current file was opened.
        older.pop_if(|path| current.as_ref().is_some_and(|current| current.is(path)));
        let older = older.into_iter().map(|path| SetFile { path, open: None });
        Self {
            files: older.chain(current).collect(),
            signed,
        }
    }

    /// Refuses what can be read only once.
    pub(crate) fn must_be_files(&self) -> Result<(), Failure> {
        let rewinds = |mut file: &File| file.stream_position().is_ok();
        let mut files = self.files.iter();
        let pipe = files.find(|it| !it.open.as_ref().is_none_or(rewinds));
        pipe.map_or(Ok(()), |pipe| {
            let text = format!(
                "{} is a pipe, and this command reads a ledger twice; give it a file",
                pipe.path.display()
            );
            Err(Failure::new(Code::Usage, text))
        })
    }
}

impl SetFile {
    /// One that stays the same file whatever its name means later.
    fn open_now(path: &Path) -> io::Result<Self> {
        let open = Some(File::open(path)?);
        let path = path.to_owned();
        Ok(Self { path, open })
    }

    /// What its first record says.
    fn first(&self) -> Option<First> {
        let mut lines = self.lines().ok()?;
        match lines.next().ok()?? {
            Line::Whole(line) => serde_json::from_slice(line).ok(),
            Line::Torn(_) | Line::TooLong => None,
        }
    }

    /// Whether a path leads to it.
    fn is(&self, path: &Path) -> bool {
        let numbers = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let open = self.open.as_ref().and_then(|open| open.metadata().ok());
        open.map(numbers) == fs::metadata(path).ok().map(numbers)
    }

    /// Its bytes, unpacked, from the first one on.
    pub(crate) fn open(&self) -> io::Result<Box<dyn BufRead>> {
        let Some(open) = &self.open else {
            return unpacked(open_file(&self.path)?);
        };
        let mut file = open.try_clone()?;
        match file.rewind() {
            // A pipe.
            Err(why) if why.raw_os_error() == Some(Errno::SPIPE.raw_os_error()) => {}
            rewound => rewound?,
        }
        unpacked(file)
    }

    /// Its lines, from the first one on.
    pub(crate) fn lines(&self) -> io::Result<Lines> {
        Ok(Lines::new(self.open()?))
    }
}

/// What the system knows of a file. While a daemon rotates its ledger, no file has the ledger's name for
/// a moment.
fn metadata(path: &Path) -> io::Result<fs::Metadata> {
    let mut tries = 0;
    loop {
        let found = fs::metadata(path);
        let is_missing = found
            .as_ref()
            .is_err_and(|why| why.kind() == ErrorKind::NotFound);
        let may_come = is_missing && checkpoint_file(path).exists();
        if !may_come || tries == 20 {
            return found;
        }
        tries += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What to say of a ledger that is not there, if its checkpoint is.
fn gone(path: &Path) -> Option<Failure> {
    let checkpoint = checkpoint_file(path);
    let is_gone = checkpoint.exists() && fs::symlink_metadata(path).is_err();
    is_gone.then(|| {
        let text = format!(
            "{} is gone, but its checkpoint {} is there: somebody removed or moved the ledger; name \
             where it is now, or one of its older files",
            path.display(),
            checkpoint.display()
        );
        Failure::new(Code::Changed, text)
    })
}

/// The origin that a note is about.
fn origin_of(note: &str) -> &str {
    short(note.lines().next().unwrap_or_default())
}

/// The files with checkpoints that lie beside a ledger.
fn signed_files(folder: &Path, names: &Names) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut signed = Vec::new();
    for name in [names.checkpoint(), names.witnessed()] {
        let path = folder.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            let text = read_beside(&path, LONGEST_NOTE)?;
            signed.push((path, text));
        }
    }
    Ok(signed)
}

/// The older files of an origin, in the order of their records.
fn older_files(folder: &Path, names: &Names, origin: &str) -> Vec<PathBuf> {
    let here = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    let entries = fs::read_dir(here).into_iter().flatten().flatten();
    let mut files: Vec<(u64, bool, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let first = names.first_of(origin, &name)?;
            Some((first, name.ends_with(COMPRESSED), folder.join(&name)))
        })
        .collect();
    files.sort();
    // One that was compressed while the plain file was kept.
    files.dedup_by_key(|(first, ..)| *first);
    files.into_iter().map(|(.., path)| path).collect()
}
