//! What each source with a monthly budget has delivered in its present month.
//!
//! What is asked for is written down before the request leaves, and what became of it when the
//! answer is in: a request whose outcome a crash hid counts as delivered.
//!
//! Kept in `budgets.json` in the state directory, so that a restart does not begin a month anew.
//! Months begin at midnight UTC. A clock that was set to another month, and is set right again,
//! finds what its month had delivered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The months of a source that are remembered.
const MONTHS: usize = 4;

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

/// The months of all sources, by the sources' names; of each, the present one last.
type Months = BTreeMap<String, Vec<Month>>;

/// What all sources have delivered.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    months: Months,
}

impl Budgets {
    /// Where they are kept in a state directory.
    pub(super) fn path_in(state_dir: &Path) -> PathBuf {
        state_dir.join("budgets.json")
    }

    /// Reads what the last run left.
    ///
    /// # Errors
    /// Why it cannot be read, which counts as nothing spent.
    pub(super) fn read(state_dir: &Path) -> Result<Self, String> {
        let path = Self::path_in(state_dir);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let mut months: Months =
            serde_json::from_slice(&text).map_err(|_| format!("{} is damaged", path.display()))?;
        months.values_mut().flatten().for_each(Month::give_up);
        Ok(Self { months })
    }

    /// The bytes that a source delivered in the month that `now` belongs to.
    pub(super) fn spent(&self, source: &str, resets_on: u8, now: Timestamp) -> u64 {
        let began = month_of(now, resets_on);
        self.months_of(source)
            .find(|month| month.began == began)
            .map_or(0, |month| month.bytes)
    }

    /// The bytes that a source is asked for and has not brought yet.
    pub(super) fn asked(&self, source: &str) -> u64 {
        self.months_of(source).map(|month| month.asked).sum()
    }

    fn months_of(&self, source: &str) -> impl Iterator<Item = &Month> {
        self.months.get(source).into_iter().flatten()
    }

    /// Counts what a source is asked for as delivered: nobody waits for the answer any more.
    pub(super) fn give_up(&mut self, source: &str) {
        if let Some(months) = self.months.get_mut(source) {
            months.iter_mut().for_each(Month::give_up);
        }
    }

    /// Notes that so many bytes are about to be asked for.
    pub(super) fn ask(&mut self, source: &str, resets_on: u8, now: Timestamp, bytes: u64) {
        self.put(source, resets_on, now, 0, bytes);
    }

    /// Counts what the last request brought, nothing where it failed. Returns the bytes of the
    /// month.
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
        let months = self.months.entry(source.to_owned()).or_default();
        months.retain(|month| month.began != began);
        // The answer may come in another month than the question.
        for month in months.iter_mut() {
            month.asked = 0;
        }
        months.drain(..months.len().saturating_sub(MONTHS - 1));
        months.push(Month {
            began,
            bytes,
            asked,
        });
        bytes
    }

    /// The file's content.
    pub(super) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(&self.months).expect("names, dates and numbers")
    }
}

/// Puts a new file in the old one's place, so that there is always a whole one on the disk.
///
/// # Errors
/// Why it cannot be written.
pub(super) fn write(state_dir: &Path, text: &[u8]) -> Result<(), String> {
    let path = Budgets::path_in(state_dir);
    let replace = || {
        std::fs::create_dir_all(state_dir)?;
        let new = path.with_extension("json.new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(state_dir)?.sync_all()
    };
    replace().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))
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
    use super::{Budgets, month_of, write};
    use jiff::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// What the next run knows of these.
    fn restarted(budgets: &Budgets) -> Budgets {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = folder.path().join("state");
        write(&state_dir, &budgets.text()).expect("written");
        Budgets::read(&state_dir).expect("readable")
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
        let mut budgets = Budgets::default();
        assert_eq!(budgets.count("a", 1, at("2026-11-23T00:00:00Z"), 100), 100);
        assert_eq!(budgets.count("a", 1, at("2026-11-24T00:00:00Z"), 50), 150);
        let mut again = restarted(&budgets);
        assert_eq!(again.spent("a", 1, at("2026-11-30T23:59:59Z")), 150);
        assert_eq!(again.spent("a", 1, at("2026-12-01T00:00:00Z")), 0);
        assert_eq!(again.spent("b", 1, at("2026-11-30T00:00:00Z")), 0);
        assert_eq!(again.count("a", 1, at("2026-12-01T00:00:00Z"), 1), 1);
    }

    #[test]
    fn what_a_crash_hid_counts_as_delivered() {
        let now = at("2026-11-23T00:00:00Z");
        let mut budgets = Budgets::default();
        budgets.count("a", 1, now, 100);
        budgets.ask("a", 1, now, 48);
        assert_eq!(budgets.spent("a", 1, now), 100, "not while it is under way");
        assert_eq!(restarted(&budgets).spent("a", 1, now), 148);
        budgets.count("a", 1, now, 0);
        assert_eq!(restarted(&budgets).spent("a", 1, now), 100);
        budgets.ask("a", 1, now, 48);
        assert_eq!(budgets.count("a", 1, now, 48), 148);
        assert_eq!(restarted(&budgets).spent("a", 1, now), 148);
    }

    #[test]
    fn a_clock_that_is_set_wrong_and_right_again_finds_its_month() {
        let (now, wrong) = (at("2026-11-23T00:00:00Z"), at("2036-02-01T00:00:00Z"));
        let mut budgets = Budgets::default();
        budgets.count("a", 1, now, 100);
        budgets.ask("a", 1, now, 48);
        // The answer to what was asked for comes when the clock is wrong.
        assert_eq!(budgets.count("a", 1, wrong, 48), 48);
        assert_eq!(budgets.asked("a"), 0);
        assert_eq!(budgets.count("a", 1, at("1970-01-01T00:00:00Z"), 1), 1);
        assert_eq!(restarted(&budgets).spent("a", 1, now), 100);
        assert_eq!(budgets.count("a", 1, now, 1), 101);
        assert_eq!(budgets.spent("a", 1, wrong), 48);
        // Not for ever.
        for month in 1..=12 {
            budgets.count("a", 1, at(&format!("2027-{month:02}-01T00:00:00Z")), 1);
        }
        assert_eq!(budgets.spent("a", 1, now), 0);
        assert_eq!(budgets.months["a"].len(), super::MONTHS);
    }

    #[test]
    fn a_damaged_file_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(Budgets::path_in(folder.path()), "{").expect("written");
        let why = Budgets::read(folder.path()).expect_err("damaged");
        assert!(why.contains("damaged"), "{why}");
    }
}
