//! The names of a ledger's files.
//!
//! Beside `audit.jsonl` stand `audit.checkpoint` (the newest signed note), `audit.lock`, and older
//! files: `audit-<origin>-<first record>.jsonl`, where the origin has 8 hex digits and the record 12
//! decimal ones. An operator may compress older files: `.jsonl.gz`.

use std::path::Path;

const EXTENSION: &str = ".jsonl";
/// What an operator's gzip puts behind the name of an older file.
pub(crate) const COMPRESSED: &str = ".gz";
/// The hex digits of an origin in the name of an older file.
const SHORT: usize = 8;
/// The least digits of a record's number there.
const DIGITS: usize = 12;

/// The names of the files of one ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The file that is written, such as `audit.jsonl`.
    pub(crate) current: String,
    /// What the other names begin with.
    stem: String,
}

impl Names {
    /// The names that go with the path of a ledger.
    pub(crate) fn of(file: &Path) -> Self {
        let current = file.file_name().unwrap_or(file.as_os_str());
        let current = current.to_string_lossy().into_owned();
        let stem = current.strip_suffix(COMPRESSED).unwrap_or(&current);
        let stem = stem.strip_suffix(EXTENSION).unwrap_or(stem);
        Self {
            stem: stem.to_owned(),
            current,
        }
    }

    /// The file of the newest checkpoint.
    pub(crate) fn checkpoint(&self) -> String {
        format!("{}.checkpoint", self.stem)
    }

    /// The file of the newest checkpoint that a witness cosigned.
    pub(crate) fn witnessed(&self) -> String {
        format!("{}.witnessed", self.stem)
    }

    /// The file that the process which writes holds a lock on.
    pub(crate) fn lock(&self) -> String {
        format!("{}.lock", self.stem)
    }

    /// An older file of an origin that begins with this record.
    pub(crate) fn older(&self, origin: &str, first: u64) -> String {
        format!("{}{first:0DIGITS$}{EXTENSION}", self.older_of(origin))
    }

    /// What the names of an origin's older files begin with.
    pub(crate) fn older_of(&self, origin: &str) -> String {
        format!("{}-{}-", self.stem, short(origin))
    }

    /// A file that is set aside and cannot have the name of an older file.
    pub(crate) fn set_aside(&self, number: u64) -> String {
        format!("{}-unknown-{number:016x}{EXTENSION}", self.stem)
    }

    /// The first record of an origin's older file, by its name; none: it is no such file.
    pub(crate) fn first_of(&self, origin: &str, name: &str) -> Option<u64> {
        let older = Older::parse(name)?;
        let is_ours = older.stem == self.stem && older.origin == short(origin);
        is_ours.then_some(older.first)
    }
}

/// How the names of an origin's older files name it.
pub(crate) fn short(origin: &str) -> &str {
    let random = origin.rsplit('/').next().unwrap_or_default();
    random.get(..SHORT).unwrap_or(random)
}

/// What the name of an older file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Older<'name> {
    /// What all names of the ledger begin with.
    stem: &'name str,
    /// As [`short`] gives it.
    pub(crate) origin: &'name str,
    /// Its first record.
    pub(crate) first: u64,
}

impl<'name> Older<'name> {
    /// None: no older file has such a name.
    pub(crate) fn parse(name: &'name str) -> Option<Self> {
        let plain = name.strip_suffix(COMPRESSED).unwrap_or(name);
        let (rest, first) = plain.strip_suffix(EXTENSION)?.rsplit_once('-')?;
        let (stem, origin) = rest.rsplit_once('-')?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let fits = first.len() >= DIGITS
            && first.bytes().all(|byte| byte.is_ascii_digit())
            && origin.len() == SHORT
            && origin.bytes().all(is_hex);
        let first = first.parse().ok()?;
        fits.then_some(Self {
            stem,
            origin,
            first,
        })
    }

    /// The names that the file which is written may have: with and without an extension.
    pub(crate) fn ledgers(&self) -> [Names; 2] {
        [format!("{}{EXTENSION}", self.stem), self.stem.to_owned()].map(|current| Names {
            current,
            stem: self.stem.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Names, Older};

    const ORIGIN: &str = "host/qseed/0123456789abcdef";

    #[test]
    fn all_names_follow_from_the_ledgers() {
        let names = Names::of(Path::new("/srv/audit.jsonl"));
        assert_eq!(names.current, "audit.jsonl");
        assert_eq!(names.checkpoint(), "audit.checkpoint");
        assert_eq!(names.lock(), "audit.lock");
        let older = names.older(ORIGIN, 42);
        assert_eq!(older, "audit-01234567-000000000042.jsonl");
        assert_eq!(names.first_of(ORIGIN, &older), Some(42));
        assert_eq!(names.first_of(ORIGIN, &format!("{older}.gz")), Some(42));
        let ledgers = Older::parse(&older).expect("an older file").ledgers();
        assert_eq!(ledgers[0], names);
        for other in [
            "audit.jsonl",
            "audit-01234567-42.jsonl",
            "audit-01234567-000000000042.checkpoint",
            "audit-89abcdef-000000000042.jsonl",
            "other-01234567-000000000042.jsonl",
            "audit-01234567-00000000004x.jsonl",
        ] {
            assert_eq!(names.first_of(ORIGIN, other), None, "{other}");
        }
        let other = Names::of(Path::new("ledger"));
        assert_eq!(
            (other.current.as_str(), other.lock()),
            ("ledger", "ledger.lock".into())
        );
    }
}
