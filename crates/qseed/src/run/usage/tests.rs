use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use qseed_config::{Budget, Rate};
use tokio::sync::oneshot;

use super::file::{MONTHS, NAME};
use super::{Question, Usage, month_of};

const NOW: &str = "2026-11-23T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn read(state_dir: &Path) -> Usage {
    let (usage, read) = Usage::read(state_dir);
    read.expect("readable");
    usage
}

fn question(source: &str, now: Timestamp, bytes: u64) -> Question<'_> {
    Question {
        source,
        budget: Some(Budget {
            bytes: 480,
            resets_on: 1,
        }),
        rate_limit: None,
        now,
        bytes,
        requests: 1,
    }
}

fn allowed(mut answer: Option<oneshot::Receiver<bool>>) -> bool {
    let answer = answer.as_mut().expect("a budget");
    answer.try_recv().expect("it was written")
}

/// Asks, is answered in full, and writes.
fn deliver(usage: &Usage, state_dir: &Path, source: &str, now: Timestamp, bytes: u64) {
    usage.ask(&question(source, now, bytes));
    usage.answered(source, now, Some(bytes), 1);
    usage.write(state_dir).expect("written");
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
    let usage = read(&state_dir);
    deliver(&usage, &state_dir, "a", at(NOW), 100);
    deliver(&usage, &state_dir, "a", at("2026-11-24T00:00:00Z"), 50);
    let again = read(&state_dir);
    assert_eq!(again.spent("a", 1, at("2026-11-30T23:59:59Z")), 150);
    assert_eq!(again.spent("a", 1, at("2026-12-01T00:00:00Z")), 0);
    assert_eq!(again.spent("b", 1, at("2026-11-30T00:00:00Z")), 0);
}

#[test]
fn what_a_crash_hid_counts_as_delivered() {
    let folder = folder();
    let usage = read(folder.path());
    deliver(&usage, folder.path(), "a", at(NOW), 100);
    usage.ask(&question("a", at(NOW), 48));
    assert_eq!(
        usage.spent("a", 1, at(NOW)),
        100,
        "not while it is under way"
    );
    usage.write(folder.path()).expect("written");
    assert_eq!(usage.spent("a", 1, at(NOW)), 100);
    assert_eq!(read(folder.path()).spent("a", 1, at(NOW)), 148);
    usage.answered("a", at(NOW), Some(0), 1);
    usage.write(folder.path()).expect("written");
    assert_eq!(read(folder.path()).spent("a", 1, at(NOW)), 100);
    usage.ask(&question("a", at(NOW), 48));
    usage.answered("a", at(NOW), None, 1);
    assert_eq!(
        usage.spent("a", 1, at(NOW)),
        148,
        "as many as it was asked for"
    );
}

#[test]
fn processes_of_one_state_directory_share_a_budget() {
    let folder = folder();
    let (one, two) = (read(folder.path()), read(folder.path()));
    // Each was read before the other wrote.
    deliver(&one, folder.path(), "a", at(NOW), 240);
    deliver(&two, folder.path(), "b", at(NOW), 7);
    deliver(&one, folder.path(), "c", at(NOW), 9);
    let answer = two.ask(&question("a", at(NOW), 240));
    two.write(folder.path()).expect("written");
    assert!(allowed(answer), "240 of 480 are left");
    let answer = one.ask(&question("a", at(NOW), 48));
    one.write(folder.path()).expect("written");
    assert!(
        !allowed(answer),
        "the other process is about to spend the rest"
    );
    assert_eq!(one.spent("a", 1, at(NOW)), 480);
    two.answered("a", at(NOW), Some(192), 1);
    two.write(folder.path()).expect("written");
    let answer = one.ask(&question("a", at(NOW), 48));
    one.write(folder.path()).expect("written");
    assert!(allowed(answer), "not all of it came");
    let third = read(folder.path());
    let spent = ["a", "b", "c"].map(|name| third.spent(name, 1, at(NOW)));
    assert_eq!(spent, [480, 7, 9]);
}

#[test]
fn what_a_failing_disk_did_not_take_is_written_later() {
    let folder = folder();
    let state_dir = folder.path().join("state");
    std::fs::write(&state_dir, "no folder").expect("written");
    let usage = Usage::default();
    let answer = usage.ask(&question("a", at(NOW), 48));
    usage.write(&state_dir).expect_err("no folder");
    assert!(allowed(answer), "a disk stops no seeding");
    usage.answered("a", at(NOW), Some(48), 1);
    assert_eq!(usage.spent("a", 1, at(NOW)), 48);
    std::fs::remove_file(&state_dir).expect("removed");
    usage.write(&state_dir).expect("written");
    assert_eq!(usage.spent("a", 1, at(NOW)), 48);
    assert_eq!(read(&state_dir).spent("a", 1, at(NOW)), 48);
}

#[test]
fn a_clock_that_is_set_wrong_and_right_again_finds_its_month() {
    let folder = folder();
    let (now, wrong) = (at(NOW), at("2036-02-01T00:00:00Z"));
    let usage = read(folder.path());
    deliver(&usage, folder.path(), "a", now, 100);
    // The answer comes when the clock is wrong.
    usage.ask(&question("a", now, 48));
    usage.answered("a", wrong, Some(48), 1);
    deliver(&usage, folder.path(), "a", wrong, 5);
    deliver(&usage, folder.path(), "a", at("1970-01-01T00:00:00Z"), 1);
    let again = read(folder.path());
    assert_eq!(again.spent("a", 1, now), 148);
    assert_eq!(again.spent("a", 1, wrong), 5);
    for month in 1..=MONTHS {
        let month = at(&format!("2027-{month:02}-01T00:00:00Z"));
        deliver(&usage, folder.path(), "a", month, 1);
    }
    assert_eq!(read(folder.path()).spent("a", 1, now), 0, "not for ever");
}

#[test]
fn requests_are_remembered_for_their_window() {
    let folder = folder();
    let usage = read(folder.path());
    let limit = Some(Rate {
        requests: 30,
        per: Duration::from_secs(10),
    });
    let limited = |now| Question {
        budget: None,
        rate_limit: limit,
        requests: 2,
        ..question("a", now, 48)
    };
    assert!(
        usage.ask(&limited(at(NOW))).is_none(),
        "nothing to wait for"
    );
    usage.write(folder.path()).expect("written");
    let later = at("2026-11-23T00:00:04Z");
    let ages = |usage: &Usage| usage.requests("a", later);
    assert_eq!(ages(&read(folder.path())), [4, 4].map(Duration::from_secs));
    usage.answered("a", at("2026-11-23T00:00:01Z"), Some(48), 1);
    usage.write(folder.path()).expect("written");
    assert_eq!(ages(&read(folder.path())), [Duration::from_secs(3)]);
    let earlier = at("2020-01-01T00:00:00Z");
    let set_back = read(folder.path()).requests("a", earlier);
    assert_eq!(set_back, [Duration::ZERO], "one window at most");
    // Those of the future are a wrong clock's.
    usage.ask(&limited(earlier));
    usage.write(folder.path()).expect("written");
    assert_eq!(
        read(folder.path()).requests("a", earlier),
        [Duration::ZERO; 2]
    );
}

#[test]
fn a_damaged_file_is_said_and_replaced_by_what_is_known() {
    let folder = folder();
    let usage = read(folder.path());
    deliver(&usage, folder.path(), "a", at(NOW), 100);
    std::fs::write(folder.path().join(NAME), "{").expect("written");
    let (_, read_again) = Usage::read(folder.path());
    let why = read_again.expect_err("damaged");
    assert!(why.contains("damaged"), "{why}");
    usage.ask(&question("a", at(NOW), 48));
    usage.write(folder.path()).expect_err("damaged");
    assert_eq!(read(folder.path()).spent("a", 1, at(NOW)), 148);
}

#[test]
fn a_file_behind_a_link_is_left_alone() {
    let (folder, elsewhere) = (folder(), folder());
    let victim = elsewhere.path().join("victim");
    std::fs::write(&victim, "{}").expect("written");
    std::os::unix::fs::symlink(&victim, folder.path().join(NAME)).expect("linked");
    let (usage, read) = Usage::read(folder.path());
    read.expect_err("a link");
    usage.ask(&question("a", at(NOW), 48));
    usage.write(folder.path()).expect_err("a link");
    assert_eq!(std::fs::read(&victim).expect("there"), b"{}");
}
