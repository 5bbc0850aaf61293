mod growth;
mod while_open;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use qseed_ledger::record::{Body, Record, State};
use qseed_secrets::{Secret, SecretRef};

use super::{Files, LedgerError, Opened, Place};
use crate::ledger::key::KeyPlace;
use crate::ledger::scan::scan;

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn current(&self) -> PathBuf {
        self.path("audit.jsonl")
    }

    fn place(&self, key: u8) -> Place {
        let key = Secret::new(STANDARD.encode([key; 32]).into_bytes());
        Place {
            file: self.current(),
            key: KeyPlace::Configured(SecretRef::Literal(key)),
            host: "host".to_owned(),
            hardening: std::collections::BTreeMap::new(),
        }
    }

    fn lock(&self) -> Files {
        Files::lock(self.place(1)).expect("nobody else has it")
    }

    /// What a process finds that starts now.
    fn start(&self) -> (Files, Opened) {
        let mut files = self.lock();
        let opened = files.open(Timestamp::now()).expect("opened");
        (files, opened)
    }

    /// The same, which must be a new origin for a reason.
    fn assert_new_origin(&self, why: &str) {
        let (mut files, opened) = self.start();
        assert_is_new_origin(&opened, why);
        write(&mut files, 1);
        files.sign(Timestamp::now(), true).expect("signed");
        drop(files);
        assert_eq!(self.start().1, Opened::Continued, "the new one goes on");
    }

    /// The records of a file.
    fn records(&self, name: &str) -> Vec<Record> {
        let text = fs::read(self.path(name)).expect("a file");
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| Record::parse(line).expect("a record"))
            .collect()
    }

    /// Every record follows the one before.
    fn assert_whole(&self, name: &str) {
        let file = File::open(self.path(name)).expect("a file");
        let found = scan(&file, &[], None).expect("read").expect("a ledger");
        assert!(found.fault.is_none(), "{:?}", found.fault);
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a folder");
        let names = entries.map(|it| it.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|it| it.into_string().expect("text")).collect();
        names.sort();
        names
    }

    /// The file that was set aside.
    fn set_aside(&self) -> String {
        let names = self.names();
        let mut others = names.iter().filter(|name| name.starts_with("audit-"));
        let name = others.next().expect("a file").clone();
        assert_eq!(others.next(), None);
        name
    }
}

fn body(number: usize) -> Body {
    Body::State(State {
        partition: format!("p{number}"),
        state: "seeded".to_owned(),
        before: None,
    })
}

fn try_write(files: &mut Files, count: usize) -> Result<(), LedgerError> {
    let bodies: Vec<_> = (0..count).map(body).collect();
    files.append(bodies.iter().map(|body| (Timestamp::now(), body)))
}

fn write(files: &mut Files, count: usize) {
    try_write(files, count).expect("written");
}

/// A ledger with some records before and after a signature.
fn written() -> Scene {
    let scene = Scene::new();
    let (mut files, opened) = scene.start();
    assert_eq!(opened, Opened::First);
    write(&mut files, 3);
    files.sign(Timestamp::now(), false).expect("signed");
    write(&mut files, 2);
    drop(files);
    scene
}

fn assert_is_new_origin(opened: &Opened, why: &str) {
    let Opened::NewOrigin { because, .. } = opened else {
        panic!("{opened:?}");
    };
    assert!(because.contains(why), "{because}");
}

/// The bytes of the first records.
fn end_of(scene: &Scene, records: usize) -> u64 {
    let text = fs::read(scene.current()).expect("a file");
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(records);
    lines.map(|line| line.len() as u64).sum()
}

fn cut(scene: &Scene, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(scene.current());
    file.expect("a file").set_len(length).expect("cut");
}

fn append(path: &Path, bytes: &[u8]) {
    let file = fs::OpenOptions::new().append(true).open(path);
    file.expect("a file").write_all(bytes).expect("written");
}

#[test]
fn a_ledger_goes_on_after_a_restart() {
    let scene = written();
    let (mut files, opened) = scene.start();
    assert_eq!(opened, Opened::Continued);
    write(&mut files, 1);
    files.sign(Timestamp::now(), true).expect("signed");
    let records = scene.records("audit.jsonl");
    assert_eq!(records.len(), 1 + 3 + 1 + 2 + 1 + 1);
    scene.assert_whole("audit.jsonl");
    let names = scene.names();
    assert_eq!(names, ["audit.checkpoint", "audit.jsonl", "audit.lock"]);
    let Some(Body::Checkpoint(last)) = records.last().map(|it| &it.body) else {
        panic!("{records:?}");
    };
    let note = fs::read_to_string(scene.path("audit.checkpoint")).expect("a note");
    assert_eq!(note, last.note, "the newest note stands in its own file");
}

#[test]
fn a_torn_end_is_cut_off_and_nothing_else() {
    let scene = written();
    let whole = fs::read(scene.current()).expect("a file");
    let last = whole[..whole.len() - 1].iter().rposition(|it| *it == b'\n');
    let last = &whole[last.expect("several lines") + 1..whole.len() - 1];
    for torn in [&b"{\"seq\":7,\"ti"[..], &[0; 700], b"\0\0\n\0\n", last] {
        append(&scene.current(), torn);
        let (mut files, opened) = scene.start();
        let Opened::Recovered { cut_bytes, .. } = opened else {
            panic!("{opened:?}")
        };
        assert_eq!(cut_bytes, torn.len() as u64);
        assert_eq!(fs::read(scene.current()).expect("a file"), whole);
        drop(files.open.take());
    }
}

#[test]
fn what_was_signed_or_written_must_be_there() {
    for (records, why) in [
        (0, "does not begin"),
        (1, "missing at its"),
        (3, "missing at its"),
    ] {
        let scene = written();
        // Not a whole number of lines.
        let keep = end_of(&scene, records) + 10;
        cut(&scene, keep);
        scene.assert_new_origin(why);
        assert_eq!(
            fs::metadata(scene.path(&scene.set_aside()))
                .expect("kept")
                .len(),
            keep
        );
    }
}

#[test]
fn an_older_copy_is_not_continued() {
    let scene = written();
    let (old, note) = (scene.path("old"), scene.path("audit.checkpoint"));
    fs::copy(scene.current(), &old).expect("copied");
    let (mut files, _) = scene.start();
    write(&mut files, 1);
    files.sign(Timestamp::now(), false).expect("signed");
    drop(files);
    let newest = fs::read(&note).expect("a note");
    fs::rename(&old, scene.current()).expect("restored");
    scene.assert_new_origin("missing at its end");
    let Body::Began(began) = &scene.records("audit.jsonl")[0].body else {
        panic!("no origin")
    };
    let previous = began.previous.as_ref().expect("a ledger before");
    assert!(newest.starts_with(format!("{}\n{}\n", previous.origin, previous.size).as_bytes()));
}

type Edit = fn(&mut Vec<u8>, std::ops::Range<usize>);

#[test]
fn a_changed_removed_or_damaged_record_is_not_signed_again() {
    let line_of = |text: &[u8], number: usize| -> std::ops::Range<usize> {
        let ends: Vec<_> = (0..text.len()).filter(|at| text[*at] == b'\n').collect();
        ends[number - 1] + 1..ends[number] + 1
    };
    let changes: [(Edit, &str); 3] = [
        (|text, line| text[line.start + 90] ^= 1, "damaged at record"),
        (|text, line| drop(text.drain(line)), "damaged at record"),
        (|text, line| text[line.start] = b'x', "damaged at record"),
    ];
    // Signed records, and records after the signature.
    for number in [2, 5] {
        for (change, why) in changes {
            let scene = written();
            let mut text = fs::read(scene.current()).expect("a file");
            let line = line_of(&text, number);
            change(&mut text, line);
            fs::write(scene.current(), &text).expect("changed");
            let why = if number == 2 { "must have 4" } else { why };
            scene.assert_new_origin(why);
        }
    }
}

#[test]
fn the_newest_note_must_be_there_and_belong_to_the_ledger() {
    let scene = written();
    let note = scene.path("audit.checkpoint");
    fs::remove_file(&note).expect("removed");
    scene.assert_new_origin("audit.checkpoint is missing");

    let scene = written();
    let mut text = fs::read(scene.path("audit.checkpoint")).expect("a note");
    let end = text.len() - 10;
    text[end] ^= 1;
    fs::write(scene.path("audit.checkpoint"), text).expect("changed");
    scene.assert_new_origin("not signed with the key");

    let (scene, other) = (written(), written());
    fs::copy(other.current(), scene.current()).expect("swapped");
    scene.assert_new_origin("is the ledger");
}

#[test]
fn another_key_begins_another_ledger() {
    let scene = written();
    let mut files = Files::lock(scene.place(2)).expect("locked");
    let opened = files.open(Timestamp::now()).expect("opened");
    assert_is_new_origin(&opened, "signing key");
    assert_eq!(scene.records(&scene.set_aside()).len(), 7);
}

#[test]
fn a_missing_or_empty_file_is_not_the_first_ledger() {
    let scene = written();
    fs::remove_file(scene.current()).expect("removed");
    scene.assert_new_origin("audit.jsonl is missing");
    let scene = written();
    fs::write(scene.current(), "").expect("emptied");
    scene.assert_new_origin("is empty");
}

#[test]
fn a_process_that_dies_before_the_first_signature_leaves_a_ledger_that_goes_on() {
    let scene = Scene::new();
    drop(scene.start());
    assert_eq!(scene.start().1, Opened::Continued);
    // The same for a second origin: the note is of the first one.
    let scene = written();
    fs::remove_file(scene.current()).expect("removed");
    drop(scene.start());
    let (mut files, opened) = scene.start();
    assert_eq!(opened, Opened::Continued);
    files.sign(Timestamp::now(), false).expect("signed");
}
