//! The anchor command gets each strong checkpoint.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use qseed_ledger::note::Note;
use qseed_ledger::record::{Anchored, Body};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Stage, said};
use crate::support::PATIENCE;

/// A shell script in the site's folder.
fn script(stage: &Stage, text: &str) -> PathBuf {
    let path = stage.site.path("anchor");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}

fn with_command(program: &std::path::Path, arguments: &[&str]) -> Value {
    let mut words = vec![json!(program)];
    words.extend(arguments.iter().map(|it| json!(it)));
    json!({ "anchor": words })
}

fn anchored(stage: &Stage) -> Vec<Anchored> {
    let records = stage.ledger.check().records;
    let of = |body: Body| match body {
        Body::Anchored(it) => Some(it),
        _ => None,
    };
    records.into_iter().filter_map(|it| of(it.body)).collect()
}

#[test]
fn it_gets_the_note_and_its_end_is_recorded() {
    let stage = Stage::new();
    let note = stage.site.path("note");
    let program = script(
        &stage,
        "cat >\"$1\"; env >\"$1.env\"; echo; echo carried $2 >&2",
    );
    let audit = with_command(&program, &[&note.to_string_lossy(), "two words"]);
    stage.configure(&audit);
    let mut command = stage.site.command();
    command.env("A_SECRET", "hunter2");
    let daemon = crate::support::daemon::Qseed::start(&mut command);
    let line = said(&daemon, "anchored", "carried two words");
    assert_eq!(
        (&line["exit_code"], &line["level"]),
        (&json!(0), &json!("info"))
    );
    let text = fs::read_to_string(&note).expect("the note");
    let note: Note = text.parse().expect("a note");
    assert_eq!(note.signatures().len(), 2);
    let (origin, _) = stage.keys();
    assert!(text.starts_with(&origin));
    let environment = fs::read_to_string(stage.site.path("note.env")).expect("its variables");
    assert!(!environment.contains("hunter2") && environment.contains("PATH="));
    daemon.stop();
    let [record] = &anchored(&stage)[..] else {
        panic!("one record")
    };
    assert_eq!(
        (record.code, record.said.as_deref()),
        (Some(0), Some("carried two words"))
    );
    assert_eq!(record.command, program.display().to_string());
    assert_eq!(
        note.text().lines().nth(1),
        Some(record.size.to_string().as_str())
    );
}

#[test]
fn its_failures_are_said_and_recorded() {
    let stage = Stage::new();
    for (text, code, why) in [
        ("echo no network; exit 3", Some(3), "exit status 3"),
        ("kill -TERM $$", None, "killed by signal 15"),
        (
            "exec yes",
            None,
            "it printed more than 1 MiB, so qseed killed it",
        ),
    ] {
        let program = script(&stage, text);
        let daemon = stage.start(&with_command(&program, &[]));
        let line = said(&daemon, "not-anchored", why);
        assert_eq!(
            (&line["exit_code"], &line["level"]),
            (&json!(code), &json!("error"))
        );
        daemon.wait_pushed(1);
        daemon.stop();
        let records = anchored(&stage);
        assert_eq!(records.last().expect("a record").code, code);
    }
    let missing = stage.site.path("missing");
    let daemon = stage.start(&with_command(&missing, &[]));
    said(&daemon, "not-anchored", "cannot start it: No such file");
    daemon.stop();
}

#[test]
fn one_that_hangs_delays_neither_seeds_nor_the_end_and_is_killed_with_its_children() {
    let stage = Stage::new();
    let ids = stage.site.path("ids");
    let text = "sleep 1000 & echo $! $$ >\"$1.new\"; mv \"$1.new\" \"$1\"; wait";
    let program = script(&stage, text);
    let daemon = stage.start(&with_command(&program, &[&ids.to_string_lossy()]));
    let until = Instant::now() + PATIENCE;
    while !ids.exists() {
        assert!(Instant::now() < until, "it does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    let seen = daemon.log.all().len();
    daemon.pushed_from(seen);
    let began = Instant::now();
    daemon.signal(Signal::TERM);
    daemon.stop_after_signal();
    assert!(began.elapsed() < Duration::from_secs(5));
    let ids = fs::read_to_string(ids).expect("written");
    for id in ids.split_whitespace() {
        while fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|it| !it.contains(") Z ")) {
            assert!(Instant::now() < until, "process {id} still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn process_number_one_leaves_its_end_to_the_desk() {
    let stage = Stage::new();
    let program = script(&stage, "sleep 0.2 & echo forked; exit 7");
    stage.configure(&with_command(&program, &[]));
    let daemon = stage.site.start_as_process_number_one();
    let line = said(&daemon, "not-anchored", "forked");
    assert_eq!(line["exit_code"], 7);
}
