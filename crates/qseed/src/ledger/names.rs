//! The names of a ledger's files.
//!
//! Beside `audit.jsonl` stand `audit.checkpoint` (the newest signed note), `audit.lock`, and older
//! files: `audit-<origin>-<first record>.jsonl`, where the origin has 8 hex digits and the record 12
//! decimal ones. An operator may compress older files: `.jsonl.gz`.

use std::path::Path;

const EXTENSION: &str = ".jsonl";

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
        let stem = current.strip_suffix(EXTENSION).unwrap_or(&current);
        Self {
            stem: stem.to_owned(),
            current,
        }
    }

    /// The file of the newest checkpoint.
    pub(crate) fn checkpoint(&self) -> String {
        format!("{}.checkpoint", self.stem)
    }

    /// The file that the process which writes holds a lock on.
    pub(crate) fn lock(&self) -> String {
        format!("{}.lock", self.stem)
    }

    /// An older file of an origin that begins with this record.
    pub(crate) fn older(&self, origin: &str, first: u64) -> String {
        format!("{}{first:012}{EXTENSION}", self.older_of(origin))
    }

    /// What the names of an origin's older files begin with.
    pub(crate) fn older_of(&self, origin: &str) -> String {
        let random = origin.rsplit('/').next().unwrap_or_default();
        let short = random.get(..8).unwrap_or(random);
        format!("{}-{short}-", self.stem)
    }

    /// A file that is set aside and cannot have the name of an older file.
    pub(crate) fn set_aside(&self, number: u64) -> String {
        format!("{}-unknown-{number:016x}{EXTENSION}", self.stem)
    }

    /// The first record of an origin's older file, by its name; none: it is no such file.
    pub(crate) fn first_of(&self, origin: &str, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(&self.older_of(origin))?;
        let rest = rest.strip_suffix(".gz").unwrap_or(rest);
        let digits = rest.strip_suffix(EXTENSION)?;
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        (digits.len() >= 12 && all_digits).then(|| digits.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Names;

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
