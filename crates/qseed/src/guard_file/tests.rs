use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use qseed_model::pins::{
    DevicePinTag, DeviceTag, HeldBack, KeyTag, PinAnswer, PinTag, PinTags, Standing, TokenTag,
};

use super::{Entry, GuardFile, KEY, NAME, SEAL};
use crate::state_dir::StateDir;

/// The digests of a PIN at a token and device of its own.
pub(crate) fn tags(number: u8) -> PinTags {
    PinTags {
        tag: PinTag([number; 32]),
        at_device: DevicePinTag([number; 16]),
        token: TokenTag([number; 16]),
        device: DeviceTag([number; 16]),
        key: KeyTag([1; 16]),
    }
}

/// A state directory in which a worker has made the key.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path());
    std::fs::write(folder.path().join(KEY), [7; 32]).expect("written");
    folder
}

fn open(folder: &Path) -> GuardFile {
    let dir = StateDir::create(folder).expect("usable");
    GuardFile::open(dir).expect("usable")
}

fn path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join(NAME)
}

fn text(folder: &tempfile::TempDir) -> String {
    std::fs::read_to_string(path(folder)).expect("readable")
}

fn present(guard: &mut GuardFile, number: u8) -> Option<HeldBack> {
    let entry = Entry::Present(tags(number), format!("ca-{number}"));
    guard.append(&[entry]).expect("writable")[0]
}

fn answer(guard: &mut GuardFile, number: u8, answer: PinAnswer) {
    let entry = Entry::Answer(tags(number).tag, answer, None);
    guard.append(&[entry]).expect("writable");
}

fn refuse(guard: &mut GuardFile, number: u8) {
    assert_eq!(present(guard, number), None);
    answer(guard, number, PinAnswer::Refused);
}

fn standing(guard: &GuardFile, number: u8) -> Option<Standing> {
    guard.contents().records.standing(tags(number).tag)
}

#[test]
fn what_was_recorded_is_there_after_a_restart() {
    let folder = folder();
    refuse(&mut open(folder.path()), 1);
    let mut again = open(folder.path());
    assert_eq!(again.lost(), None);
    assert_eq!(present(&mut again, 1), Some(HeldBack::Refused));
    assert_eq!(present(&mut again, 2), None, "another PIN");
}

#[test]
fn a_torn_last_line_never_happened() {
    let folder = folder();
    refuse(&mut open(folder.path()), 1);
    let mut file = OpenOptions::new()
        .append(true)
        .open(path(&folder))
        .expect("opened");
    file.write_all(b"{\"seq\":7,\"ta").expect("written");
    let mut again = open(folder.path());
    refuse(&mut again, 2);
    let third = open(folder.path());
    assert_eq!(
        (third.lost(), standing(&third, 2)),
        (None, Some(Standing::Refused))
    );
}

#[test]
fn two_processes_judge_by_what_both_recorded() {
    let folder = folder();
    let (mut ours, mut theirs) = (open(folder.path()), open(folder.path()));
    refuse(&mut theirs, 1);
    assert_eq!(present(&mut ours, 1), Some(HeldBack::Refused));
    assert_eq!(present(&mut ours, 2), None);
    assert_eq!(present(&mut theirs, 2), Some(HeldBack::InFlight));
    answer(&mut ours, 2, PinAnswer::Accepted);
    let changed = theirs.refresh().expect("readable");
    assert!(changed.contains(&tags(2).device));
    assert_eq!(present(&mut theirs, 2), None);
}

#[test]
fn a_process_that_died_before_the_answer_leaves_one_more_presentation() {
    let folder = folder();
    for _ in 0..2 {
        assert_eq!(present(&mut open(folder.path()), 1), None);
    }
    let third = present(&mut open(folder.path()), 1);
    assert_eq!(third, Some(HeldBack::OutcomeUnknown));
    let left = std::fs::read_dir(folder.path()).expect("a folder");
    let left = left.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().contains("presenter")
    });
    assert_eq!(left.count(), 0, "ended processes leave nothing behind");
}

#[test]
fn a_cleared_pin_may_be_presented_and_other_processes_notice() {
    let folder = folder();
    let (mut daemon, mut operator) = (open(folder.path()), open(folder.path()));
    refuse(&mut daemon, 1);
    operator
        .append(&[Entry::Clear(tags(1).tag)])
        .expect("recorded");
    let changed = daemon.refresh().expect("readable");
    assert!(changed.contains(&tags(1).device));
    assert_eq!(present(&mut daemon, 1), None);
}

type Loss = fn(&tempfile::TempDir, &str);

/// What somebody may do to the file, which must lift no refusal in silence.
fn losses() -> Vec<(&'static str, Loss)> {
    vec![
        ("removed", |folder, _| {
            std::fs::remove_file(path(folder)).expect("removed");
        }),
        ("emptied", |folder, _| {
            std::fs::write(path(folder), "").expect("written");
        }),
        ("an older copy", |folder, older| {
            std::fs::write(path(folder), older).expect("written");
        }),
        ("an older copy, moved", |folder, older| {
            let copy = folder.path().join("copy");
            std::fs::write(&copy, older).expect("written");
            std::fs::rename(&copy, path(folder)).expect("moved");
        }),
        ("its last line cut off", |folder, _| {
            let text = text(folder);
            let end = text.trim_end().rfind('\n').expect("lines") + 1;
            std::fs::write(path(folder), &text[..end]).expect("written");
        }),
    ]
}

#[test]
fn a_lost_file_is_noticed_by_the_next_process() {
    for (what, lose) in losses() {
        let folder = folder();
        let older = text(&folder);
        refuse(&mut open(folder.path()), 1);
        lose(&folder, &older);
        let mut next = open(folder.path());
        assert!(next.lost().is_some(), "{what}");
        for number in [1, 2] {
            assert_eq!(
                present(&mut next, number),
                Some(HeldBack::GuardLost),
                "{what}"
            );
        }
        let third = present(&mut open(folder.path()), 2);
        assert_eq!(third, Some(HeldBack::GuardLost), "{what}, after a restart");
        assert!(!next.key_may_be_made(), "{what}");
    }
}

#[test]
fn a_running_process_writes_again_what_it_knows_and_a_reset_keeps_it() {
    for (what, lose) in losses() {
        let folder = folder();
        let older = text(&folder);
        let mut daemon = open(folder.path());
        refuse(&mut daemon, 1);
        lose(&folder, &older);
        assert_eq!(present(&mut daemon, 2), Some(HeldBack::GuardLost), "{what}");
        assert_eq!(standing(&daemon, 1), Some(Standing::Refused), "{what}");
        let mut operator = open(folder.path());
        assert!(operator.lost().is_some(), "{what}");
        operator.reset().expect("writable");
        daemon.refresh().expect("readable");
        assert_eq!(daemon.lost(), None, "{what}");
        assert_eq!(present(&mut daemon, 1), Some(HeldBack::Refused), "{what}");
        assert_eq!(present(&mut daemon, 2), None, "{what}");
    }
}

#[test]
fn a_line_that_is_damaged_or_missing_is_noticed() {
    let folder = folder();
    let mut first = open(folder.path());
    refuse(&mut first, 1);
    refuse(&mut first, 2);
    drop(first);
    let whole = text(&folder);
    let refused = whole.lines().nth(3).expect("a line");
    assert!(refused.contains("\"refused\""), "{whole}");
    for changed in [
        whole.replace(refused, "hello"),
        whole.replace(&format!("{refused}\n"), ""),
    ] {
        std::fs::write(path(&folder), changed).expect("written");
        let mut next = open(folder.path());
        assert_eq!(present(&mut next, 3), Some(HeldBack::GuardLost));
        assert_eq!(
            standing(&next, 2),
            Some(Standing::Refused),
            "the others are kept"
        );
    }
}

#[test]
fn another_key_presents_nothing_and_a_reset_forgets_the_old_ones_records() {
    let folder = folder();
    let mut daemon = open(folder.path());
    refuse(&mut daemon, 1);
    let mut other = tags(2);
    other.key = KeyTag([2; 16]);
    let entry = || [Entry::Present(other, "ca-2".to_owned())];
    assert_eq!(
        daemon.append(&entry()).expect("writable"),
        [Some(HeldBack::GuardLost)]
    );
    assert_eq!(
        present(&mut open(folder.path()), 3),
        Some(HeldBack::GuardLost)
    );
    daemon.reset().expect("writable");
    assert!(daemon.key_may_be_made());
    assert_eq!(daemon.append(&entry()).expect("writable"), [None]);
    assert_eq!(standing(&daemon, 1), None);
}

#[test]
fn a_file_of_something_else_is_no_guards_file() {
    let folder = folder();
    std::fs::write(path(&folder), "hello\nworld\n").expect("written");
    let mut guard = open(folder.path());
    assert!(guard.lost().expect("lost").contains("line 1"));
    assert_eq!(present(&mut guard, 1), Some(HeldBack::GuardLost));
}

#[test]
fn a_large_file_is_rewritten_and_says_the_same() {
    let folder = folder();
    let mut guard = open(folder.path());
    refuse(&mut guard, 1);
    for _ in 0..1000 {
        assert_eq!(present(&mut guard, 2), None);
        answer(&mut guard, 2, PinAnswer::Accepted);
    }
    let before = text(&folder).len();
    let other = open(folder.path());
    assert!(text(&folder).len() < before / 100);
    assert_eq!(
        (other.lost(), standing(&other, 1)),
        (None, Some(Standing::Refused))
    );
    assert_eq!(
        present(&mut guard, 1),
        Some(HeldBack::Refused),
        "one that had it open"
    );
    assert_eq!(present(&mut guard, 2), None);
    assert_eq!(open(folder.path()).lost(), None);
}

#[test]
fn what_cannot_be_written_is_not_remembered_either() {
    let folder = folder();
    let mut guard = open(folder.path());
    refuse(&mut guard, 1);
    // Nobody can write to a file that was opened for reading.
    let for_reading = std::fs::File::open(path(&folder)).expect("opened");
    let file = guard.file.swap(for_reading);
    let entry = Entry::Present(tags(2), "ca-2".to_owned());
    guard.append(&[entry]).expect_err("not writable");
    assert_eq!(standing(&guard, 2), None);
    guard.file.swap(file);
    refuse(&mut guard, 2);
    assert_eq!(open(folder.path()).lost(), None);
}

#[test]
fn a_seal_is_written_when_a_pin_is_held_back() {
    let folder = folder();
    let mut guard = open(folder.path());
    refuse(&mut guard, 1);
    let seal = std::fs::read_to_string(folder.path().join(SEAL)).expect("a seal");
    let last = guard.contents().records.last();
    assert_eq!(seal, format!("{{\"last\":{last}}}"));
}

#[test]
fn a_damaged_seal_presents_nothing_until_a_reset() {
    for content in ["", "{\"last\":"] {
        let folder = folder();
        refuse(&mut open(folder.path()), 1);
        std::fs::write(folder.path().join(SEAL), content).expect("written");
        let mut again = open(folder.path());
        assert_eq!(present(&mut again, 2), Some(HeldBack::GuardLost));
        again.reset().expect("writable");
        let mut third = open(folder.path());
        assert_eq!(present(&mut third, 1), Some(HeldBack::Refused));
        assert_eq!(present(&mut third, 2), None);
    }
}

#[test]
fn a_damaged_key_counts_as_lost_and_a_reset_makes_room_for_a_new_one() {
    let folder = folder();
    refuse(&mut open(folder.path()), 1);
    let key = folder.path().join(KEY);
    std::fs::write(&key, [7; 16]).expect("written");
    let dir = || StateDir::create(folder.path()).expect("usable");
    let read = super::read(&dir()).expect("readable");
    assert!(read.records.lost().expect("lost").ends_with("is damaged"));
    let mut guard = open(folder.path());
    guard.reset().expect("writable");
    assert!(!key.exists());
    assert!(guard.key_may_be_made());
    assert_eq!(super::read(&dir()).expect("readable").records.lost(), None);
}
