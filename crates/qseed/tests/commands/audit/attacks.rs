//! Each known attack, once, through the command line. The ledger's own tests have thousands.

use std::fs;

use super::maker::Maker;
use super::{Ledger, ORIGIN, SECRET, change_a_seed, three_files};
use crate::bench::Ran;

/// It exits with 65 and says all of `words`.
#[track_caller]
fn assert_changed(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, 65, "{ran:?}");
    assert!(ran.err.starts_with("qseed: CHANGED: "), "{ran:?}");
    for words in words {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
}

/// A ledger whose middle file was changed.
fn edited(edit: impl FnOnce(&mut Vec<String>)) -> (Ledger, String) {
    let ledger = Ledger::new();
    let name = ledger.name(1);
    ledger.edit(&name, edit);
    (ledger, name)
}

#[test]
fn a_changed_byte_is_found_and_named() {
    let (ledger, name) = edited(|lines| change_a_seed(lines));
    let ran = ledger.verify(&[]);
    assert_changed(
        &ran,
        &[&format!("{name}:4: record "), "SHA-256 of the line before"],
    );
    let document = ledger.verify(&["--json"]).json();
    assert_eq!(document["result"], "changed");
    assert_eq!(document["findings"][0]["file"], *name);
    assert_eq!(document["findings"][0]["line"], 4);
}

#[test]
fn removed_inserted_repeated_and_reordered_records_are_found() {
    for (edit, words) in [
        (
            Box::new(|lines: &mut Vec<String>| drop(lines.remove(9)))
                as Box<dyn FnOnce(&mut Vec<String>)>,
            "missing",
        ),
        (
            Box::new(|lines| lines.insert(9, lines[8].clone())),
            "inserted, repeated or moved",
        ),
        (Box::new(|lines| lines.swap(9, 10)), "missing"),
        (
            Box::new(|lines| lines.insert(9, "{}".to_owned())),
            "no record",
        ),
    ] {
        let (ledger, name) = edited(edit);
        assert_changed(&ledger.verify(&[]), &[&name, words]);
    }
}

#[test]
fn a_file_that_is_gone_is_missed() {
    let ledger = Ledger::new();
    fs::remove_file(ledger.path(&ledger.name(1))).expect("removed");
    assert_changed(&ledger.verify(&[]), &["missing", "audit.jsonl:1: record "]);
}

#[test]
fn a_cut_off_end_is_found_by_the_checkpoint_beside_it_or_one_from_elsewhere() {
    let ledger = Ledger::new();
    ledger.edit("audit.jsonl", |lines| lines.truncate(20));
    let words = "the end was cut off";
    assert_changed(&ledger.verify(&[]), &["audit.checkpoint: ", words]);
    // An old checkpoint in its place hides that, but not from one who kept the newest.
    let old = &ledger.made.notes[0];
    ledger.bench.write("audit.checkpoint", old);
    assert_eq!(ledger.verify(&[]).code, 0);
    ledger.bench.write("kept", &ledger.made.note());
    assert_changed(
        &ledger.verify(&["--checkpoint", "kept"]),
        &["kept: ", words],
    );
}

#[test]
fn a_ledger_that_its_own_key_signed_again_is_found_by_an_old_checkpoint() {
    let honest = Ledger::new();
    let mut forged = Maker::new(&SECRET, ORIGIN);
    forged.seed("another-ca", None);
    let forged = Ledger::of(three_files(forged));
    // With nothing from before, nobody can tell.
    assert_eq!(forged.verify(&[]).code, 0);
    forged.bench.write("kept", &honest.made.notes[0]);
    assert_changed(
        &forged.verify(&["--checkpoint", "kept"]),
        &["kept: ", "another root"],
    );
}

#[test]
fn a_ledger_that_was_cut_and_continued_is_found_by_an_old_checkpoint() {
    let honest = Ledger::new();
    let mut forged = Maker::new(&SECRET, ORIGIN);
    forged.seed("issuing-ca", None);
    for _ in 0..400 {
        forged.seed("issuing-ca", None);
    }
    forged.checkpoint(true);
    let forged = Ledger::of(forged);
    forged.bench.write("kept", &honest.made.note());
    let ran = forged.verify(&["--checkpoint", "kept"]);
    assert_changed(&ran, &["kept: ", "another root"]);
}

#[test]
fn stripped_signatures_are_found() {
    let (ledger, name) = edited(|lines| {
        for line in lines
            .iter_mut()
            .filter(|line| line.contains("\"checkpoint\""))
        {
            let end = line.find("\\n\\n").expect("a note");
            let rest = line[end..].find('"').expect("its end") + end;
            line.replace_range(end + 4..rest, "");
        }
    });
    assert_changed(&ledger.verify(&[]), &[&name]);
    // A stranger's signature is none.
    let stranger = three_files(Maker::new(&[8; 32], ORIGIN));
    let ledger = Ledger::new();
    let text = ledger.made.note();
    let (text, _) = text.split_once("\n\n").expect("a note");
    let stranger = stranger.note();
    let (_, signature) = stranger.split_once("\n\n").expect("a note");
    ledger
        .bench
        .write("audit.checkpoint", &format!("{text}\n\n{signature}"));
    assert_changed(&ledger.verify(&[]), &["audit.checkpoint: "]);
}

#[test]
fn a_ledger_of_another_key_is_not_authenticated() {
    let honest = Ledger::new();
    let forged = Ledger::of(three_files(Maker::new(&[8; 32], ORIGIN)));
    forged.bench.write("keys", &honest.made.vkeys().join("\n"));
    let ran = forged.verify(&[]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!ran.out.contains("All holds"), "{ran:?}");
}

#[test]
fn two_ledgers_of_one_key_cannot_be_swapped() {
    let honest = Ledger::new();
    let other = Ledger::of(three_files(Maker::new(
        &SECRET,
        "hsm-gw-1/qseed/fedcba0123456789",
    )));
    other.bench.write("keys", &honest.made.vkeys().join("\n"));
    let ran = other.verify(&[]);
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(
        ran.out.contains("another ledger of the same daemon"),
        "{ran:?}"
    );
    // With a checkpoint of the right one, it is plain that this is not it.
    other.bench.write("kept", &honest.made.note());
    assert_changed(
        &other.verify(&["--checkpoint", "kept"]),
        &["kept: ", ORIGIN],
    );
}

#[test]
fn a_first_record_that_is_damaged_hides_nothing() {
    let ledger = Ledger::new();
    ledger.edit("audit.jsonl", |lines| lines[0] = "{}".to_owned());
    assert_changed(&ledger.verify(&[]), &["audit.jsonl:1: "]);
    for words in [
        &["proof", "3", "--file", "audit.jsonl"][..],
        &["export", "--file", "audit.jsonl"],
        &["show", "audit.jsonl"],
    ] {
        let ran = ledger.audit(words);
        assert_eq!(ran.code, 65, "{words:?}: {ran:?}");
    }
}
