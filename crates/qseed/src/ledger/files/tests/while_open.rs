//! Changes and faults under a process that has the ledger open.

use std::fs::{self, File};
use std::io::Read;

use jiff::Timestamp;
use qseed_config::Rotate;

use super::{Scene, append, assert_is_new_origin, cut, end_of, try_write, write, written};
use crate::exit::Code;
use crate::ledger::files::{Files, LedgerError, Opened};

const NO_ROTATION: Rotate = Rotate {
    size: 1 << 30,
    keep: 2,
};

#[test]
fn a_file_that_changes_while_it_is_open_is_not_written_to() {
    type Change = fn(&Scene);
    let changes: [(Change, &str); 4] = [
        (
            |scene| fs::remove_file(scene.current()).expect("removed"),
            "missing",
        ),
        (
            |scene| {
                fs::remove_file(scene.current()).expect("removed");
                fs::write(scene.current(), "").expect("replaced");
            },
            "empty",
        ),
        (|scene| cut(scene, end_of(scene, 6)), "missing at its end"),
        (
            |scene| {
                let other = written();
                fs::remove_file(scene.current()).expect("removed");
                fs::copy(other.current(), scene.current()).expect("replaced");
            },
            "is the ledger",
        ),
    ];
    for (change, why) in changes {
        let scene = written();
        let (mut files, _) = scene.start();
        write(&mut files, 1);
        change(&scene);
        let refused = try_write(&mut files, 1).expect_err("it changed");
        assert!(matches!(refused, LedgerError::Changed(_)), "{refused}");
        let opened = files.open(Timestamp::now()).expect("opened");
        assert_is_new_origin(&opened, why);
        write(&mut files, 1);
        scene.assert_whole("audit.jsonl");
    }
}

#[test]
fn a_copy_of_the_same_records_goes_on_and_what_a_stranger_appended_is_cut_off() {
    let scene = written();
    let (mut files, _) = scene.start();
    let copy = scene.path("copy");
    fs::copy(scene.current(), &copy).expect("copied");
    fs::rename(&copy, scene.current()).expect("replaced");
    try_write(&mut files, 1).expect_err("it changed");
    assert_eq!(
        files.open(Timestamp::now()).expect("opened"),
        Opened::Continued
    );
    write(&mut files, 1);
    append(&scene.current(), b"hello\n");
    try_write(&mut files, 1).expect_err("it changed");
    let opened = files.open(Timestamp::now()).expect("opened");
    assert!(matches!(opened, Opened::Recovered { cut_bytes: 6, .. }));
    write(&mut files, 1);
    scene.assert_whole("audit.jsonl");
}

#[test]
fn two_processes_do_not_write_one_ledger() {
    let scene = written();
    let (first, _) = scene.start();
    let second = Files::lock(scene.place(1)).expect_err("in use");
    assert_eq!(second.ends_start(), Some(Code::TryLater));
    assert!(second.to_string().contains("another qseed process"));
    drop(first);
    scene.start();
}

#[test]
fn a_full_file_is_rotated_and_old_ones_are_removed() {
    let scene = written();
    let rotate = Rotate {
        size: 10_000,
        keep: 2,
    };
    let (mut files, _) = scene.start();
    let mut rotations = 0;
    while rotations < 5 {
        write(&mut files, 5);
        if files.is_full(rotate) {
            files.rotate(Timestamp::now(), rotate).expect("rotated");
            rotations += 1;
        }
    }
    let older: Vec<_> = scene.names();
    let older: Vec<_> = older.iter().filter(|it| it.starts_with("audit-")).collect();
    assert_eq!(older.len(), 2, "{older:?}");
    let files_in_order = [older[0].as_str(), older[1], "audit.jsonl"];
    let mut expected = None;
    for name in files_in_order {
        scene.assert_whole(name);
        let records = scene.records(name);
        assert!(expected.is_none_or(|seq| seq == records[0].seq), "a gap");
        expected = Some(records[0].seq + records.len() as u64);
    }
    drop(files);
    // An operator compresses one.
    fs::rename(
        scene.path(older[0]),
        scene.path(&format!("{}.gz", older[0])),
    )
    .expect("renamed");
    let (mut files, opened) = scene.start();
    assert_eq!(opened, Opened::Continued);
    files.rotate(Timestamp::now(), rotate).expect("rotated");
    assert!(!scene.path(&format!("{}.gz", older[0])).exists());
}

#[test]
fn an_interrupted_rotation_is_completed() {
    let scene = written();
    let (mut files, _) = scene.start();
    files.sign(Timestamp::now(), true).expect("signed");
    let open = files.open.take().expect("it is open");
    let older = files.folder.names.older(open.signer.origin(), open.first);
    fs::rename(scene.current(), scene.path(&older)).expect("renamed");
    drop(files);
    let (mut files, opened) = scene.start();
    assert_eq!(opened, Opened::Continued);
    write(&mut files, 1);
    let next = scene.records(&older).len() as u64;
    assert_eq!(scene.records("audit.jsonl")[0].seq, next);
    drop(files);
    assert_eq!(scene.start().1, Opened::Continued);
    // With a record after the signature that went away, it is no interrupted rotation.
    fs::remove_file(scene.current()).expect("removed");
    scene.assert_new_origin("missing");
}

/// A file that takes what is written to it and cannot sync it.
fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    (reader.into(), writer.into())
}

#[test]
fn after_a_failed_sync_the_lines_are_written_again() {
    // What memory still has, the disk may have lost, or not.
    for reached_the_disk in [false, true] {
        let scene = written();
        let (mut files, _) = scene.start();
        write(&mut files, 1);
        let before = scene.records("audit.jsonl").len();
        let (mut reader, writer) = pipe();
        files.open.as_mut().expect("it is open").instead = Some(writer);
        let why = try_write(&mut files, 2).expect_err("a pipe cannot be synced");
        assert_eq!(why.ends_start(), None, "it is tried again");
        assert!(!files.is_open());
        if reached_the_disk {
            let mut lines = Vec::new();
            reader.read_to_end(&mut lines).expect("read");
            assert_eq!(lines.split(|it| *it == b'\n').count(), 3);
            append(&scene.current(), &lines);
        }
        assert_eq!(
            files.open(Timestamp::now()).expect("opened"),
            Opened::Continued
        );
        write(&mut files, 2);
        assert_eq!(scene.records("audit.jsonl").len(), before + 2);
        scene.assert_whole("audit.jsonl");
    }
}

#[test]
fn a_full_disk_leaves_no_half_line() {
    let scene = written();
    let (mut files, _) = scene.start();
    let before = fs::read(scene.current()).expect("a file");
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("a device");
    files.open.as_mut().expect("it is open").instead = Some(full);
    let why = try_write(&mut files, 2).expect_err("full").to_string();
    assert!(why.contains("No space left"), "{why}");
    assert_eq!(fs::read(scene.current()).expect("a file"), before);
    // The same file goes on once there is room.
    files.open.as_mut().expect("it is open").instead = None;
    write(&mut files, 2);
    scene.assert_whole("audit.jsonl");
}

#[test]
fn rotation_waits_for_its_size() {
    let scene = written();
    let (files, _) = scene.start();
    assert!(!files.is_full(NO_ROTATION));
    let length = fs::metadata(scene.current()).expect("a file").len();
    assert!(files.is_full(Rotate {
        size: length,
        keep: 1
    }));
}
