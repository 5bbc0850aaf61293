//! What each source with a monthly budget has delivered in its present month.
//!
//! What is asked for is written down before the request leaves, and what became of it when the
//! answer is in: a request whose outcome a crash hid counts as delivered.
//!
//! Kept in `budgets.json` in the state directory, so that a restart does not begin a month anew.
//! Months begin at midnight UTC. A clock that is set to another month begins that month anew.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// One source's month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Month {
    began: Date,
    bytes: u64,
    /// Bytes that are asked for and not answered yet.
    #[serde(default)]
    asked: u64,
}

impl Month {
    /// Counts what was asked for as delivered.
    fn give_up(&mut self) {
        self.bytes = self.bytes.saturating_add(std::mem::take(&mut self.asked));
    }
}

/// The months of all sources, by the sources' names.
#[derive(Debug)]
pub(super) struct Budgets {
    path: PathBuf,
    months: BTreeMap<String, Month>,
    /// The trouble that was told last.
    trouble: Option<String>,
}

impl Budgets {
    /// Reads what the last run left. What cannot be read counts as nothing spent, and is said.
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("budgets.json");
        let (months, trouble) = match std::fs::read(&path) {
            Ok(text) => match serde_json::from_slice::<BTreeMap<String, Month>>(&text) {
                Ok(mut months) => {
                    months.values_mut().for_each(Month::give_up);
                    (months, None)
                }
                Err(_) => (
                    BTreeMap::new(),
                    Some(format!("{} is damaged", path.display())),
                ),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (BTreeMap::new(), None),
            Err(error) => (
                BTreeMap::new(),
                Some(format!("{}: {error}", path.display())),
            ),
        };
        Self {
            path,
            months,
            trouble,
        }
    }

    /// The bytes that a source delivered in the month that `now` belongs to.
    pub(super) fn spent(&self, source: &str, resets_on: u8, now: Timestamp) -> u64 {
        let began = month_of(now, resets_on);
        self.months
            .get(source)
            .filter(|month| month.began == began)
            .map_or(0, |month| month.bytes)
    }

    /// The bytes that a source is asked for and has not brought yet.
    pub(super) fn asked(&self, source: &str) -> u64 {
        self.months.get(source).map_or(0, |month| month.asked)
    }

    /// Counts what a source is asked for as delivered: nobody waits for the answer any more.
    pub(super) fn give_up(&mut self, source: &str) {
        if let Some(month) = self.months.get_mut(source) {
            month.give_up();
        }
    }

    /// Writes down that so many bytes are about to be asked for.
    pub(super) fn ask(&mut self, source: &str, resets_on: u8, now: Timestamp, bytes: u64) {
        self.put(source, resets_on, now, 0, bytes);
    }

    /// Counts what the last request brought, nothing where it failed, and writes it down. Returns
    /// the bytes of the month.
    pub(super) fn count(&mut self, source: &str, resets_on: u8, now: Timestamp, bytes: u64) -> u64 {
        self.put(source, resets_on, now, bytes, 0)
    }

    fn put(
        &mut self,
        source: &str,
        resets_on: u8,
        now: Timestamp,
        delivered: u64,
        asked: u64,
    ) -> u64 {
        let bytes = self.spent(source, resets_on, now).saturating_add(delivered);
        let began = month_of(now, resets_on);
        let month = Month {
            began,
            bytes,
            asked,
        };
        self.months.insert(source.to_owned(), month);
        self.trouble = self
            .write()
            .err()
            .map(|error| format!("{}: {error}", self.path.display()));
        bytes
    }

    /// Why the file cannot be used, if it cannot.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Puts a new file in the old one's place, so that there is always a whole one.
    fn write(&self) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let new = self.path.with_extension("json.new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec(&self.months)?)?;
        std::fs::rename(&new, &self.path)
    }
}

/// The day on which the month began that `now` belongs to.
fn month_of(now: Timestamp, resets_on: u8) -> Date {
    let today = TimeZone::UTC.to_datetime(now).date();
    let day = i8::try_from(resets_on).unwrap_or(1).clamp(1, 28);
    let this = Date::new(today.year(), today.month(), day).unwrap_or(today.first_of_month());
    if this <= today {
        return this;
    }
    this.checked_sub(jiff::Span::new().months(1))
        .unwrap_or(this)
}

#[cfg(test)]
mod tests {
    use super::{Budgets, month_of};
    use jiff::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn months_begin_on_the_day_that_is_configured() {
        for (now, day, began) in [
            ("2026-11-23T10:00:00Z", 1, "2026-11-01"),
            ("2026-11-23T10:00:00Z", 23, "2026-11-23"),
            ("2026-11-23T10:00:00Z", 24, "2026-10-24"),
            ("2026-01-01T00:00:00Z", 15, "2025-12-15"),
            ("2024-03-01T00:00:00Z", 28, "2024-02-28"),
        ] {
            assert_eq!(month_of(at(now), day).to_string(), began, "{now}, {day}");
        }
    }

    #[test]
    fn a_month_is_counted_across_restarts_and_then_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut budgets = Budgets::open(folder.path());
        assert_eq!(budgets.count("a", 1, at("2026-11-23T00:00:00Z"), 100), 100);
        assert_eq!(budgets.count("a", 1, at("2026-11-24T00:00:00Z"), 50), 150);
        let mut again = Budgets::open(folder.path());
        assert_eq!(again.spent("a", 1, at("2026-11-30T23:59:59Z")), 150);
        assert_eq!(again.spent("a", 1, at("2026-12-01T00:00:00Z")), 0);
        assert_eq!(again.spent("b", 1, at("2026-11-30T00:00:00Z")), 0);
        assert_eq!(again.count("a", 1, at("2026-12-01T00:00:00Z"), 1), 1);
        assert_eq!(again.trouble(), None);
    }

    #[test]
    fn what_a_crash_hid_counts_as_delivered() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = at("2026-11-23T00:00:00Z");
        let mut budgets = Budgets::open(folder.path());
        budgets.count("a", 1, now, 100);
        budgets.ask("a", 1, now, 48);
        assert_eq!(budgets.spent("a", 1, now), 100, "not while it is under way");
        assert_eq!(Budgets::open(folder.path()).spent("a", 1, now), 148);
        budgets.count("a", 1, now, 0);
        assert_eq!(Budgets::open(folder.path()).spent("a", 1, now), 100);
        budgets.ask("a", 1, now, 48);
        assert_eq!(budgets.count("a", 1, now, 48), 148);
        assert_eq!(Budgets::open(folder.path()).spent("a", 1, now), 148);
    }

    #[test]
    fn a_damaged_file_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("budgets.json"), "{").expect("written");
        let mut budgets = Budgets::open(folder.path());
        assert!(budgets.trouble().is_some_and(|why| why.contains("damaged")));
        budgets.count("a", 1, at("2026-11-23T00:00:00Z"), 1);
        assert_eq!(budgets.trouble(), None);
    }
}
