use std::io::Write;

use qseed_engine::PinTag;
use qseed_engine::guard::Standing;

use super::{Device, Entry, GuardFile, GuardFileError, Known, Record, Taken};

fn record(tag: u8, standing: Known) -> Record {
    Record {
        tag: [tag; 32],
        standing: Some(standing),
        partition: "p".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
        answer: None,
        device: None,
    }
}

fn outcome(record: Record) -> Vec<Entry> {
    vec![Entry {
        record,
        presents: false,
    }]
}

fn presentation(record: Record) -> Vec<Entry> {
    vec![Entry {
        record,
        presents: true,
    }]
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let folder = folder();
    let mut guard = GuardFile::open(&folder.path().join("state")).expect("made");
    assert!(guard.key_may_be_made());
    guard
        .append(presentation(record(1, Known::Presented)))
        .expect("written");
    guard
        .append(outcome(record(1, Known::Refused)))
        .expect("written");
    let again = GuardFile::open(&folder.path().join("state")).expect("opened");
    assert_eq!(again.standing(PinTag([1; 32])), Some(Standing::Refused));
}

#[test]
fn a_torn_last_line_never_happened() {
    let folder = folder();
    let mut guard = GuardFile::open(folder.path()).expect("made");
    guard
        .append(outcome(record(1, Known::Accepted)))
        .expect("written");
    let path = GuardFile::path_in(folder.path());
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("opened");
    file.write_all(b"{\"tag\":\"02").expect("written");
    let mut again = GuardFile::open(folder.path()).expect("opened");
    assert_eq!(again.records().count(), 1);
    again
        .append(outcome(record(2, Known::Refused)))
        .expect("written");
    assert_eq!(
        GuardFile::open(folder.path())
            .expect("opened")
            .records()
            .count(),
        2
    );
}

#[test]
fn a_file_that_is_something_else_is_refused() {
    let folder = folder();
    std::fs::write(GuardFile::path_in(folder.path()), "hello\nworld\n").expect("written");
    assert!(matches!(
        GuardFile::open(folder.path()),
        Err(GuardFileError::Corrupt { line: 1, .. })
    ));
}

#[test]
fn what_another_process_wrote_meanwhile_wins() {
    let folder = folder();
    let mut ours = GuardFile::open(folder.path()).expect("made");
    let mut theirs = GuardFile::open(folder.path()).expect("opened");
    theirs
        .append(outcome(record(1, Known::Refused)))
        .expect("written");
    let taken = ours
        .append(presentation(record(1, Known::Presented)))
        .expect("written");
    assert_eq!(taken, [Taken::HeldBack]);
    assert_eq!(ours.standing(PinTag([1; 32])), Some(Standing::Refused));
    assert_eq!(theirs.refresh().expect("read"), []);
}

#[test]
fn a_cleared_record_is_noticed() {
    let folder = folder();
    let mut daemon = GuardFile::open(folder.path()).expect("made");
    daemon
        .append(outcome(record(1, Known::Refused)))
        .expect("written");
    let mut operator = GuardFile::open(folder.path()).expect("opened");
    let cleared = Record {
        standing: None,
        ..record(1, Known::Refused)
    };
    operator.append(outcome(cleared)).expect("written");
    assert_eq!(daemon.refresh().expect("read"), [PinTag([1; 32])]);
    assert_eq!(daemon.standing(PinTag([1; 32])), None);
}

#[test]
fn a_long_file_is_compacted_without_losing_a_tag() {
    let folder = folder();
    let mut guard = GuardFile::open(folder.path()).expect("made");
    for _ in 0..2000 {
        guard
            .append(outcome(record(1, Known::Accepted)))
            .expect("written");
    }
    guard
        .append(outcome(record(2, Known::Refused)))
        .expect("written");
    let length = || {
        std::fs::metadata(GuardFile::path_in(folder.path()))
            .expect("there")
            .len()
    };
    assert!(length() > super::COMPACT_ABOVE);
    let mut again = GuardFile::open(folder.path()).expect("opened");
    assert!(length() < 1024);
    assert_eq!(again.standing(PinTag([2; 32])), Some(Standing::Refused));
    // The one that was open before goes on with the new file.
    guard
        .append(outcome(record(3, Known::Refused)))
        .expect("written");
    assert_eq!(again.refresh().expect("read"), [PinTag([3; 32])]);
}

#[test]
fn a_lost_key_may_be_made_anew_once_nothing_is_held_back() {
    let folder = folder();
    let mut guard = GuardFile::open(folder.path()).expect("made");
    guard
        .append(outcome(record(1, Known::Accepted)))
        .expect("written");
    assert!(guard.key_may_be_made());
    guard
        .append(outcome(record(2, Known::Refused)))
        .expect("written");
    assert!(!guard.key_may_be_made());
    let cleared = Record {
        standing: None,
        ..record(2, Known::Refused)
    };
    guard.append(outcome(cleared)).expect("written");
    assert!(guard.key_may_be_made());
}

/// A record of a partition's PIN at a token of device 1.
fn at_device(partition: &str, pin: u8, token: u8, standing: Known) -> Record {
    Record {
        tag: [16 * token + pin; 32],
        partition: partition.to_owned(),
        device: Some(Device {
            id: [1; 32],
            token: [token; 32],
        }),
        ..record(0, standing)
    }
}

/// What becomes of a first presentation where these were refused before.
fn after(refused: &[&Record], wish: Record) -> Taken {
    let folder = folder();
    let mut guard = GuardFile::open(folder.path()).expect("made");
    for record in refused {
        guard.append(outcome((*record).clone())).expect("written");
    }
    // What holds it back is in the file, not in this process.
    let mut guard = GuardFile::open(folder.path()).expect("opened");
    guard.append(presentation(wish)).expect("written")[0]
}

#[test]
fn a_device_that_refused_a_pin_is_offered_no_other_that_never_succeeded() {
    let wrong = at_device("a", 1, 1, Known::Refused);
    let unknown = Record {
        standing: Some(Known::Presented),
        ..wrong.clone()
    };
    for other in [
        at_device("b", 1, 2, Known::Presented),
        at_device("b", 2, 1, Known::Presented),
        at_device("b", 2, 2, Known::Presented),
    ] {
        assert_eq!(after(&[&wrong], other.clone()), Taken::DeviceInDoubt);
        assert_eq!(after(&[&unknown], other.clone()), Taken::DeviceInDoubt);
        // Another device's is not concerned, nor one that was accepted before.
        let mut elsewhere = other.clone();
        elsewhere.device.as_mut().expect("one").id = [2; 32];
        assert_eq!(after(&[&wrong], elsewhere), Taken::Written);
        let known_good = Record {
            standing: Some(Known::PresentedAgain),
            ..other
        };
        assert_eq!(after(&[&wrong], known_good), Taken::Written);
    }
}

/// A TPM goes on counting after a good login: the third wrong PIN would lock it.
#[test]
fn a_device_that_refused_two_pins_waits_for_the_operator_even_if_they_were_put_right() {
    let wrong = [1, 2].map(|n| at_device(&format!("p{n}"), n, n, Known::Refused));
    let right = [1, 2].map(|n| at_device(&format!("p{n}"), n + 4, n, Known::Accepted));
    let next = || at_device("p3", 3, 3, Known::Presented);
    assert_eq!(after(&[&wrong[0], &right[0]], next()), Taken::Written);
    let all = [&wrong[0], &right[0], &wrong[1], &right[1]];
    assert_eq!(after(&all, next()), Taken::DeviceInDoubt);
    let cleared = Record {
        standing: None,
        ..wrong[0].clone()
    };
    let all = [&wrong[0], &right[0], &wrong[1], &right[1], &cleared];
    assert_eq!(after(&all, next()), Taken::Written);
}

#[test]
fn a_pin_that_was_put_right_frees_its_device() {
    let wrong = at_device("a", 1, 1, Known::Refused);
    // Another PIN of the same partition: the operator has changed it.
    let changed = at_device("a", 2, 1, Known::Presented);
    assert_eq!(after(&[&wrong], changed.clone()), Taken::Written);
    let accepted = Record {
        standing: Some(Known::Accepted),
        ..changed
    };
    let other = at_device("b", 1, 2, Known::Presented);
    assert_eq!(after(&[&wrong, &accepted], other.clone()), Taken::Written);
    let cleared = Record {
        standing: None,
        ..wrong.clone()
    };
    assert_eq!(after(&[&wrong, &cleared], other), Taken::Written);
}

#[test]
fn records_of_one_writing_are_judged_by_those_before_them() {
    let folder = folder();
    let mut guard = GuardFile::open(folder.path()).expect("made");
    guard
        .append(presentation(at_device("b", 2, 2, Known::Presented)))
        .expect("written");
    let accepted = outcome(at_device("b", 2, 2, Known::Accepted));
    let next = presentation(at_device("c", 3, 3, Known::Presented));
    let taken = guard.append(accepted.into_iter().chain(next).collect());
    assert_eq!(taken.expect("written"), [Taken::Written, Taken::Written]);
}

#[test]
fn a_name_that_two_daemons_have_is_not_one_partition() {
    let wrong = at_device("default", 1, 1, Known::Refused);
    let same_pin = at_device("default", 1, 2, Known::Presented);
    assert_eq!(after(&[&wrong], same_pin), Taken::DeviceInDoubt);
    let another = at_device("default", 2, 2, Known::Accepted);
    let same_pin = at_device("other", 1, 3, Known::Presented);
    assert_eq!(after(&[&wrong, &another], same_pin), Taken::DeviceInDoubt);
}
