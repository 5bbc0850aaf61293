//! `qseed audit show`: the records for people.

use qseed_ledger::record::{Body, State};

use super::maker::Maker;
use super::{Ledger, ORIGIN, SECRET};
use crate::bench::Ran;

fn shown(ran: &Ran) -> Vec<&str> {
    assert_eq!((ran.code, &*ran.err), (0, ""), "{ran:?}");
    ran.out.lines().collect()
}

#[test]
fn every_record_is_a_line() {
    let ledger = Ledger::new();
    let ran = ledger.audit(&["show", "audit.jsonl"]);
    let lines = shown(&ran);
    assert_eq!(lines.len() as u64, ledger.made.chain.seq());
    assert!(
        lines[0].contains(&format!("began       {ORIGIN} begins")),
        "{}",
        lines[0]
    );
    let seed = lines
        .iter()
        .find(|line| line.contains("  seed  "))
        .expect("a seed");
    for words in [
        "issuing-ca: 48 bytes from qrypt (request ",
        "TLS 1.3 X25519MLKEM768",
        "C_SeedRandom CKR_OK in 0.3 ms",
    ] {
        assert!(seed.contains(words), "{words}: {seed}");
    }
    let refused = lines
        .iter()
        .find(|line| line.contains("  refused  "))
        .expect("one");
    assert!(refused.contains("REFUSED root-ca: "), "{refused}");
    assert!(
        refused.ends_with(": C_SeedRandom: CKR_DEVICE_ERROR"),
        "{refused}"
    );
}

#[test]
fn filters_choose_records() {
    let ledger = Ledger::new();
    let count = |words: &[&str]| {
        let ran = ledger.audit(&[&["show", "audit.jsonl"], words].concat());
        shown(&ran).len()
    };
    assert_eq!(count(&["--partition", "issuing-ca"]), 120);
    assert_eq!(count(&["--partition", "issuing-ca", "--event", "seed"]), 60);
    assert_eq!(count(&["--event", "seed", "--event", "refused"]), 180);
    let all = count(&[]);
    assert_eq!(count(&["--since", "2024-02-29"]), all);
    assert_eq!(count(&["--since", "2024-02-29T15:49:11.050Z"]), all);
    assert_eq!(count(&["--until", "2024-02-29T15:49:11.050Z"]), 0);
    assert_eq!(count(&["--since", "2024-03-01"]), 0);
    assert_eq!(count(&["--since", "24h"]), 0);
}

#[test]
fn an_unknown_partition_gets_similar_names() {
    let ledger = Ledger::new();
    for command in [
        &["show", "audit.jsonl"][..],
        &["export", "--csv", "--file", "audit.jsonl"],
        &["export", "--file", "audit.jsonl"],
    ] {
        let ran = ledger.audit(&[command, &["--partition", "isuing-ca"]].concat());
        assert_eq!(ran.code, 64, "{ran:?}");
        assert!(ran.err.contains("did you mean issuing-ca?"), "{ran:?}");
    }
    // A known one without records in the period is no fault.
    let ran = ledger.audit(&[
        "show",
        "audit.jsonl",
        "--partition",
        "root-ca",
        "--since",
        "1h",
    ]);
    assert!(shown(&ran).is_empty());
}

#[test]
fn nothing_that_a_token_says_of_itself_reaches_the_terminal_as_a_command() {
    let mut made = Maker::new(&SECRET, ORIGIN);
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\n\u{202e}=cmd|'/c calc'!A1";
    made.seed(evil, None);
    made.record(Body::State(State {
        partition: evil.to_owned(),
        state: evil.to_owned(),
        before: Some(evil.to_owned()),
    }));
    made.checkpoint(true);
    let ledger = Ledger::of(made);
    let lines = ledger.made.chain.seq();
    for words in [
        &["show", "audit.jsonl"][..],
        &["export", "--csv", "--file", "audit.jsonl"],
        &["export", "--file", "audit.jsonl"],
        &["verify", "audit.jsonl"],
    ] {
        let ran = ledger.audit(words);
        let all = format!("{}{}", ran.out, ran.err);
        let harmless = |c: char| !c.is_control() || c == '\n' || c == '\r';
        assert!(all.chars().all(harmless), "{words:?}: {ran:?}");
    }
    let ran = ledger.audit(&["show", "audit.jsonl"]);
    assert_eq!(shown(&ran).len() as u64, lines);
    assert!(!ran.out.contains('\u{202e}'), "{ran:?}");
}

#[test]
fn damaged_lines_are_named_and_left_out() {
    let ledger = Ledger::new();
    ledger.edit("audit.jsonl", |lines| lines[4] = "not a record".to_owned());
    let ran = ledger.audit(&["show", "audit.jsonl"]);
    assert_eq!(ran.code, 65, "{ran:?}");
    assert!(
        ran.err.contains("audit.jsonl:5: this is no record"),
        "{ran:?}"
    );
    assert!(ran.err.contains("1 damaged line left out"), "{ran:?}");
    assert_eq!(ran.out.lines().count() as u64 + 1, ledger.made.chain.seq());
}

#[test]
fn events_of_later_versions_are_shown_with_their_fields() {
    let ledger = Ledger::new();
    ledger.edit("audit.jsonl", |lines| {
        let line =
            r#"{"seq":9999,"time":"2030-01-01T00:00:00Z","event":"moved","to":"gw-2","prev":null}"#;
        lines.push(line.to_owned());
    });
    let ran = ledger.audit(&["show", "audit.jsonl", "--event", "moved"]);
    assert_eq!(
        shown(&ran),
        ["    9999  2030-01-01T00:00:00Z  moved       to: gw-2"]
    );
}
