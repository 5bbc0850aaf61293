use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use qseed_config::{Budget, Rate};
use tokio::sync::oneshot;

use super::{COMPACT_ABOVE, MONTHS, NAME, Question, Time, Usage, UsageFile, month_of};
use crate::state_dir::{Acting, StateDir};

const NOW: &str = "2026-11-23T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn try_read(state_dir: &Path) -> (Usage, Result<(), String>) {
    Usage::read(StateDir::open(state_dir, Acting::ForItself).ok().as_ref())
}

fn read(state_dir: &Path) -> Usage {
    let (usage, read) = try_read(state_dir);
    read.expect("readable");
    usage
}

/// One process, with the file as its thread has it.
struct Process {
    usage: Usage,
    file: UsageFile,
}

impl Process {
    fn start(state_dir: &Path) -> Self {
        let (usage, _) = try_read(state_dir);
        let file = UsageFile::new(usage.clone(), state_dir);
        Self { usage, file }
    }

    /// Asks and writes. Whether the question may leave.
    fn ask(&mut self, question: &Question<'_>) -> bool {
        let answer = self.usage.ask(question);
        self.file.write().expect("written");
        allowed(answer)
    }

    fn answered(&mut self, source: &str, now: Timestamp, bytes: Option<u64>) {
        self.usage.answered(source, now, bytes, 1);
        self.file.write().expect("written");
    }

    /// Asks, and is answered in full.
    fn deliver(&mut self, source: &str, now: Timestamp, bytes: u64) {
        assert!(self.ask(&question(source, now, bytes)));
        self.answered(source, now, Some(bytes));
    }

    fn spent(&self, source: &str, now: Timestamp) -> u64 {
        self.usage.spent(source, 1, now)
    }
}

fn question(source: &str, now: Timestamp, bytes: u64) -> Question<'_> {
    Question {
        source,
        budget: Some(Budget {
            bytes: 480,
            resets_on: 1,
        }),
        rate_limit: None,
        now: now.into(),
        bytes,
        requests: 1,
    }
}

fn allowed(mut answer: Option<oneshot::Receiver<bool>>) -> bool {
    let answer = answer.as_mut().expect("a budget");
    answer.try_recv().expect("it was written")
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
fn a_month_is_counted_across_restarts_and_then_begins_again() {
    let folder = folder();
    let state_dir = folder.path().join("state");
    let mut process = Process::start(&state_dir);
    process.deliver("a", at(NOW), 100);
    process.deliver("a", at("2026-11-24T00:00:00Z"), 50);
    let again = read(&state_dir);
    assert_eq!(again.spent("a", 1, at("2026-11-30T23:59:59Z")), 150);
    assert_eq!(again.spent("a", 1, at("2026-12-01T00:00:00Z")), 0);
    assert_eq!(again.spent("b", 1, at("2026-11-30T00:00:00Z")), 0);
}

#[test]
fn bytes_that_a_crash_hides_count_as_delivered() {
    let folder = folder();
    let mut process = Process::start(folder.path());
    process.deliver("a", at(NOW), 100);
    process.usage.ask(&question("a", at(NOW), 48));
    assert_eq!(
        process.spent("a", at(NOW)),
        100,
        "not while it is under way"
    );
    process.file.write().expect("written");
    assert_eq!(process.spent("a", at(NOW)), 100);
    assert_eq!(read(folder.path()).spent("a", 1, at(NOW)), 148);
    process.answered("a", at(NOW), Some(0));
    assert_eq!(read(folder.path()).spent("a", 1, at(NOW)), 100);
    process.usage.ask(&question("a", at(NOW), 48));
    process.usage.answered("a", at(NOW), None, 1);
    assert_eq!(process.spent("a", at(NOW)), 148, "all that it asked for");
}

#[test]
fn processes_of_one_state_directory_share_a_budget() {
    let folder = folder();
    let mut one = Process::start(folder.path());
    let mut two = Process::start(folder.path());
    // Each was started before the other wrote.
    one.deliver("a", at(NOW), 240);
    two.deliver("b", at(NOW), 7);
    one.deliver("c", at(NOW), 9);
    assert!(two.ask(&question("a", at(NOW), 240)), "240 of 480 are left");
    assert!(
        !one.ask(&question("a", at(NOW), 48)),
        "the other process is about to spend the rest"
    );
    assert_eq!(one.spent("a", at(NOW)), 480);
    two.answered("a", at(NOW), Some(192));
    assert!(one.ask(&question("a", at(NOW), 48)), "not all of it came");
    let third = read(folder.path());
    let spent = ["a", "b", "c"].map(|name| third.spent(name, 1, at(NOW)));
    assert_eq!(spent, [480, 7, 9]);
}

#[test]
fn what_a_failing_disk_did_not_take_is_written_later() {
    let folder = folder();
    let state_dir = folder.path().join("state");
    std::fs::write(&state_dir, "no folder").expect("written");
    let mut process = Process::start(&state_dir);
    let answer = process.usage.ask(&question("a", at(NOW), 48));
    process.file.write().expect_err("no folder");
    assert!(allowed(answer), "a disk stops no seeding");
    process.usage.answered("a", at(NOW), Some(48), 1);
    assert_eq!(process.spent("a", at(NOW)), 48);
    // It fails for long.
    for _ in 0..5000 {
        process.usage.ask(&question("a", at(NOW), 1));
        process.usage.answered("a", at(NOW), Some(1), 1);
    }
    process.file.write().expect_err("no folder");
    assert!(
        process.usage.state().unwritten.len() < 2000,
        "not without bound"
    );
    std::fs::remove_file(&state_dir).expect("removed");
    process.file.write().expect("written");
    assert_eq!(process.spent("a", at(NOW)), 5048);
    assert_eq!(read(&state_dir).spent("a", 1, at(NOW)), 5048);
}

#[test]
fn a_clock_that_is_set_wrong_and_right_again_finds_its_month() {
    let folder = folder();
    let (now, wrong) = (at(NOW), at("2036-02-01T00:00:00Z"));
    let mut process = Process::start(folder.path());
    process.deliver("a", now, 100);
    // The answer comes when the clock is wrong.
    process.ask(&question("a", now, 48));
    process.answered("a", wrong, Some(48));
    process.deliver("a", wrong, 5);
    process.deliver("a", at("1970-01-01T00:00:00Z"), 1);
    let again = read(folder.path());
    assert_eq!(again.spent("a", 1, now), 148);
    assert_eq!(again.spent("a", 1, wrong), 5);
    for month in 1..=MONTHS {
        let month = at(&format!("2027-{month:02}-01T00:00:00Z"));
        process.deliver("a", month, 1);
    }
    assert_eq!(read(folder.path()).spent("a", 1, now), 0, "not for ever");
}

/// A question to a source without a budget.
fn limited(now: Timestamp) -> Question<'static> {
    Question {
        budget: None,
        rate_limit: Some(Rate {
            requests: 30,
            per: Duration::from_secs(10),
        }),
        requests: 2,
        ..question("a", now, 48)
    }
}

#[test]
fn requests_are_remembered_for_their_window() {
    let folder = folder();
    let mut process = Process::start(folder.path());
    let answer = process.usage.ask(&limited(at(NOW)));
    assert!(answer.is_none(), "nothing to wait for");
    process.file.write().expect("written");
    let later = at("2026-11-23T00:00:04Z");
    let ages = |usage: &Usage| usage.requests("a", later);
    assert_eq!(ages(&read(folder.path())), [4, 4].map(Duration::from_secs));
    process.answered("a", at("2026-11-23T00:00:01Z"), Some(48));
    assert_eq!(ages(&read(folder.path())), [Duration::from_secs(3)]);
    let earlier = at("2020-01-01T00:00:00Z");
    let set_back = read(folder.path()).requests("a", earlier);
    assert_eq!(set_back, [Duration::ZERO], "one window at most");
    // Those of the future are a wrong clock's.
    process.usage.ask(&limited(earlier));
    process.file.write().expect("written");
    assert_eq!(
        read(folder.path()).requests("a", earlier),
        [Duration::ZERO; 2]
    );
}

#[test]
fn a_step_of_the_clock_forgets_no_request() {
    for step in ["2016-01-01T00:00:00Z", "2036-01-01T00:00:00Z"] {
        let folder = folder();
        let mut process = Process::start(folder.path());
        let time = |wall, seconds: u64| Time {
            at: at(wall),
            up: Some((1, seconds * 1_000_000_000)),
        };
        for now in [time(NOW, 100), time(step, 101)] {
            process.usage.ask(&Question {
                now,
                ..limited(at(NOW))
            });
            process.file.write().expect("written");
        }
        let ages = |now: Time| read(folder.path()).requests("a", now);
        let seconds = |ages: [u64; 4]| ages.map(Duration::from_secs);
        assert_eq!(ages(time(step, 104)), seconds([4, 4, 3, 3]));
        // Another start of the host: the wall clock is all there is.
        let up = Some((2, 1_000_000_000));
        let rebooted = Time { up, ..time(NOW, 0) };
        assert_eq!(ages(rebooted).len(), 4);
    }
}

#[test]
fn a_file_that_grows_is_rewritten_and_says_the_same_to_all_processes() {
    let folder = folder();
    let mut other = Process::start(folder.path());
    other.deliver("b", at(NOW), 7);
    let mut process = Process::start(folder.path());
    let mut now = at(NOW);
    let mut longest = 0;
    for _ in 0..2000 {
        now += Duration::from_secs(1);
        process.usage.ask(&limited(now));
        process.answered("a", now, Some(48));
        let file = std::fs::metadata(folder.path().join(NAME)).expect("a file");
        longest = longest.max(file.len());
    }
    assert!(
        longest > COMPACT_ABOVE / 2 && longest <= COMPACT_ABOVE,
        "{longest}"
    );
    assert_eq!(read(folder.path()).requests("a", now).len(), 10);
    assert_eq!(read(folder.path()).spent("b", 1, now), 7);
    // One that had it open all the time.
    other.deliver("b", at(NOW), 5);
    assert_eq!(other.usage.requests("a", now).len(), 10);
    assert_eq!(read(folder.path()).spent("b", 1, now), 12);
}

#[test]
fn a_damaged_or_removed_file_is_reported_and_replaced_by_what_is_known() {
    type Damage = fn(&Path);
    let damages: [(Damage, bool); 4] = [
        (|file| std::fs::write(file, "{\n").expect("written"), false),
        (|file| std::fs::write(file, "").expect("written"), true),
        (|file| std::fs::remove_file(file).expect("removed"), true),
        (
            |file| {
                let new = file.with_extension("new");
                std::fs::write(&new, "hello\n").expect("written");
                std::fs::rename(&new, file).expect("renamed");
            },
            false,
        ),
    ];
    for (damage, readable) in damages {
        let folder = folder();
        let mut process = Process::start(folder.path());
        process.deliver("a", at(NOW), 100);
        damage(&folder.path().join(NAME));
        let (_, at_start) = try_read(folder.path());
        assert_eq!(at_start.is_ok(), readable);
        process.usage.ask(&question("a", at(NOW), 48));
        let why = process.file.write().expect_err("damaged");
        assert!(why.contains("counts on"), "{why}");
        assert_eq!(read(folder.path()).spent("a", 1, at(NOW)), 148);
        process.answered("a", at(NOW), Some(48));
    }
}

#[test]
fn a_file_behind_a_link_is_left_alone() {
    let (folder, elsewhere) = (folder(), folder());
    let victim = elsewhere.path().join("victim");
    std::fs::write(&victim, "{}").expect("written");
    std::os::unix::fs::symlink(&victim, folder.path().join(NAME)).expect("linked");
    try_read(folder.path()).1.expect_err("a link");
    let mut process = Process::start(folder.path());
    process.usage.ask(&question("a", at(NOW), 48));
    process.file.write().expect_err("a link");
    assert_eq!(std::fs::read(&victim).expect("there"), b"{}");
}
