//! The attacks that are known by name.
//!
//! Some attackers have the ledger's key, since they own the host. Nothing in the ledger itself shows
//! what they did; a checkpoint that the auditor has from before does, and so does a witness.

use qseed_ledger::verify::{Doubt, Fault, Given, Report, Verdict};

use crate::maker::{Maker, ORIGIN, SECRET, Witness, findings, given_checkpoint, relink, verify};

type Files = Vec<(String, Vec<String>)>;

fn made() -> Maker {
    Maker::new(&SECRET, ORIGIN).three_files()
}

/// The same daemon says something else from its third record on, and signs it.
fn rewritten() -> Maker {
    let mut forged = Maker::new(&SECRET, ORIGIN);
    forged.seed("a partition that was never seeded", None);
    forged.three_files()
}

fn faults(report: &Report) -> Vec<&Fault> {
    assert_eq!(report.verdict(), Verdict::Changed, "{report:#?}");
    let faults = report.findings.iter().map(|finding| &finding.fault);
    faults.collect()
}

/// The index of the last checkpoint of a file.
fn last_checkpoint(files: &Files, file: usize) -> usize {
    let lines = &files[file].1;
    let is_checkpoint = |line: &String| line.contains("\"event\":\"checkpoint\"");
    lines.iter().rposition(is_checkpoint).expect("a checkpoint")
}

/// Changes the text of a note within its line and links what follows again.
fn change_note(files: &mut Files, file: usize, line: usize, change: impl Fn(&str) -> String) {
    let text = &mut files[file].1[line];
    let record: serde_json::Value = serde_json::from_str(text).expect("a record");
    let quoted = |note: &str| serde_json::to_string(note).expect("text");
    let note = record["note"].as_str().expect("a note");
    *text = text.replace(&quoted(note), &quoted(&change(note)));
    relink(files, file, line);
}

#[test]
fn an_edited_record_is_found_at_its_line() {
    let made = made();
    let mut files = made.files.clone();
    let line = &mut files[1].1[20];
    *line = line.replace("CKR_OK", "CKR_NO");
    assert_ne!(files, made.files);
    let report = verify(&files, made.given());
    assert!(
        matches!(faults(&report)[..], [Fault::Prev, Fault::Root { .. }]),
        "{report:#?}"
    );
    let place = &report.findings[0].place;
    assert_eq!(
        (place.file.as_ref(), place.line),
        (files[1].0.as_str(), Some(22))
    );
    // Linked again, it is found between two checkpoints.
    relink(&mut files, 1, 20);
    let report = verify(&files, made.given());
    let from = made.files[0].1.len() as u64;
    let Fault::Root { from: sound } = faults(&report)[0] else {
        panic!("{report:#?}");
    };
    let until = report.findings[0].place.seq.expect("a checkpoint");
    assert!((*sound..until).contains(&(from + 20)), "{report:#?}");
}

#[test]
fn re_signed_with_the_current_key_after_a_change() {
    let (made, forged) = (made(), rewritten());
    // The thief of the key makes a ledger that is right in itself …
    let report = verify(&forged.files, forged.given_newest());
    assert_eq!(report.verdict(), Verdict::Holds);
    // … and each checkpoint that somebody kept from before the change tells.
    for note in &made.notes[..2] {
        let report = verify(&forged.files, given_checkpoint(forged.given_newest(), note));
        assert!(
            matches!(faults(&report)[..], [Fault::GivenRoot { .. }]),
            "{report:#?}"
        );
    }
}

#[test]
fn re_signed_with_the_current_key_after_a_witness_saw_it() {
    let witness = Witness::new("witness.example/w1");
    let given = |maker: &Maker| Given {
        witnesses: vec![witness.key()],
        ..maker.given_newest()
    };
    let mut made = Maker::new(&SECRET, ORIGIN).three_files();
    made.witness(&witness);
    made.checkpoint(true);
    let report = verify(&made.files, given(&made));
    assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));

    // Without the witness's record.
    let forged = rewritten();
    let report = verify(&forged.files, given(&forged));
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    assert_eq!(report.doubts, [Doubt::NotWitnessed(witness.key())]);

    // With the witness's true record about the true ledger: the tree of that size is another one.
    let mut forged = Maker::new(&SECRET, ORIGIN);
    forged.seed("x", None);
    forged.refuse("x", None);
    forged.checkpoint(true);
    let size = |note: &str| note.lines().nth(1).map(str::to_owned);
    let mut other = Maker::new(&SECRET, ORIGIN);
    other.seed("a", None);
    other.seed("b", None);
    other.checkpoint(true);
    assert_eq!(size(&other.note()), size(&forged.note()));
    forged.notes.push(other.note());
    forged.witness(&witness);
    forged.checkpoint(true);
    let report = verify(&forged.files, given(&forged));
    assert!(
        matches!(faults(&report)[..], [Fault::WitnessedRoot { .. }]),
        "{report:#?}"
    );
}

#[test]
fn truncated_and_continued() {
    let made = made();
    // Without the key: what follows is signed by nothing.
    let mut cut = Maker::new(&SECRET, ORIGIN);
    cut.checkpoint(true);
    let before = cut.note();
    for _ in 0..500 {
        cut.seed("issuing-ca", None);
    }
    let report = verify(&cut.files, made.given_newest());
    assert!(
        matches!(faults(&report)[..], [Fault::GivenRoot { .. }]),
        "{report:#?}"
    );
    let report = verify(&cut.files, given_checkpoint(cut.given(), &before));
    assert_eq!((report.authenticated, report.size), (2, 503));
    // With the key: signed again, and shorter than the auditor knows.
    let mut cut = Maker::new(&SECRET, ORIGIN);
    for _ in 0..5 {
        cut.seed("issuing-ca", None);
    }
    cut.checkpoint(true);
    let report = verify(&cut.files, made.given_newest());
    assert!(
        matches!(faults(&report)[..], [Fault::GivenSize { .. }]),
        "{report:#?}"
    );
}

#[test]
fn signatures_stripped() {
    let made = made();
    let whole_note = |note: &str| note.rsplit_once("\n\n").expect("a note").0.to_owned() + "\n\n";
    let strong_part = |note: &str| {
        let without: Vec<_> = note.lines().take(5).collect();
        without.join("\n") + "\n"
    };
    // All signatures of one checkpoint, from the root on linked again.
    for file in 0..3 {
        let mut files = made.files.clone();
        let line = last_checkpoint(&files, file);
        change_note(&mut files, file, line, whole_note);
        let report = verify(&files, made.given());
        assert!(matches!(faults(&report)[0], Fault::Note(_)), "{report:#?}");
    }
    // The ML-DSA-44 signature alone, where each key must sign.
    let mut files = made.files[1..].to_vec();
    change_note(&mut files, 0, 0, strong_part);
    let report = verify(&files, made.given());
    let stripped =
        |fault: &&Fault| matches!(fault, Fault::Unsigned { key } if key.contains("ML-DSA-44"));
    assert!(faults(&report).iter().any(stripped), "{report:#?}");
    // Of all checkpoints: the ledger looks as if that key had never signed.
    let mut weak = Maker::new(&SECRET, ORIGIN);
    weak.seed("issuing-ca", None);
    weak.checkpoint(false);
    let report = verify(&weak.files, weak.given());
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    // Every checkpoint taken out: nothing is signed.
    let mut bare = Maker::new(&SECRET, ORIGIN);
    bare.seed("issuing-ca", None);
    let report = verify(&bare.files, bare.given());
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    assert_eq!(report.doubts.len(), 2);
}

#[test]
fn signed_with_another_key() {
    let made = made();
    // The auditor's key is another one than the ledger's, under the ledger's own name.
    let stranger = Maker::new(&[8; 32], ORIGIN).three_files();
    let report = verify(&stranger.files, made.given());
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    assert_eq!(report.announced, stranger.key.verifier_keys());
    assert_eq!(report.authenticated, 0);
    let doubts = made.key.verifier_keys().clone().map(Doubt::SignedNothing);
    assert_eq!(report.doubts, doubts);

    // From some record on: the first part has the right signatures, the rest a stranger's.
    let mut half = Maker::new(&SECRET, ORIGIN);
    half.seed("issuing-ca", None);
    half.checkpoint(true);
    half.key = stranger.key;
    half.seed("never", None);
    half.checkpoint(true);
    let report = verify(&half.files, made.given());
    assert!(matches!(faults(&report)[0], Fault::Note(_)), "{report:#?}");
    assert_eq!(report.findings[0].place.seq, Some(5));
}

#[test]
fn a_false_signature_in_the_name_of_the_key() {
    let made = made();
    let mut files = made.files.clone();
    let line = last_checkpoint(&files, 1);
    change_note(&mut files, 1, line, |note| {
        let (text, signatures) = note.rsplit_once("\n\n").expect("a note");
        let mut signatures = signatures.to_owned();
        let end = signatures.find('\n').expect("a signature") - 3;
        let other = if &signatures[end..=end] == "A" {
            "B"
        } else {
            "A"
        };
        signatures.replace_range(end..=end, other);
        format!("{text}\n\n{signatures}")
    });
    let report = verify(&files, made.given());
    assert!(matches!(faults(&report)[0], Fault::Note(_)), "{report:#?}");
}

#[test]
fn two_ledgers_of_one_key_swapped() {
    let made = made();
    let other = Maker::new(&SECRET, "hsm-gw-1/qseed/fedcba9876543210").three_files();
    let report = verify(&other.files, made.given());
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    let same_daemon = |doubt: &Doubt| {
        matches!(
            doubt,
            Doubt::AnotherLedger {
                same_public_key: true,
                ..
            }
        )
    };
    assert!(report.doubts.iter().all(same_daemon), "{report:#?}");
    let report = verify(&other.files, made.given_newest());
    assert!(
        matches!(faults(&report)[..], [Fault::Origin { .. }]),
        "{report:#?}"
    );
    // Both keys known, so that both would be accepted: the checkpoint still says which one it is.
    let mut both = made.given_newest();
    both.keys.extend(other.given().keys);
    let report = verify(&other.files, both);
    assert!(
        matches!(faults(&report)[..], [Fault::Origin { .. }]),
        "{report:#?}"
    );
}

#[test]
fn an_old_checkpoint_replayed() {
    let made = made();
    // The ledger is put back to an old state, with the checkpoint of that time beside it.
    let mut old = made.files.clone();
    old.truncate(1);
    let line = last_checkpoint(&old, 0);
    old[0].1.truncate(line + 1);
    let record: serde_json::Value = serde_json::from_str(&old[0].1[line]).expect("a record");
    let replayed = record["note"].as_str().expect("a note");
    let given = given_checkpoint(made.given(), replayed);
    assert_eq!(verify(&old, given.clone()).verdict(), Verdict::Holds);
    let report = verify(&old, given_checkpoint(given, &made.note()));
    assert!(
        matches!(faults(&report)[..], [Fault::GivenSize { .. }]),
        "{report:#?}"
    );

    // An old note in a new record.
    for file in 0..3 {
        let mut files = made.files.clone();
        let line = last_checkpoint(&files, file);
        change_note(&mut files, file, line, |_| made.notes[0].clone());
        let report = verify(&files, made.given());
        assert!(
            faults(&report).contains(&&Fault::CheckpointFields),
            "{report:#?}"
        );
    }
}

#[test]
fn a_rotated_file_removed() {
    let made = made();
    let mut files = made.files.clone();
    files.remove(1);
    let report = verify(&files, made.given_newest());
    assert!(
        matches!(faults(&report)[..], [Fault::Missing { .. }]),
        "{report:#?}"
    );
    // What is there is still checked to the end.
    assert_eq!(report.confirmed.len(), 1);
}

#[test]
fn a_rotated_file_replaced_by_one_of_another_ledger() {
    let made = made();
    let other = Maker::new(&SECRET, "hsm-gw-1/qseed/fedcba9876543210").three_files();
    let mut files = made.files.clone();
    files[1] = other.files[1].clone();
    let report = verify(&files, made.given_newest());
    let faults = faults(&report);
    assert!(
        matches!(faults[..], [Fault::Origin { .. }, Fault::Missing { .. }]),
        "{report:#?}"
    );
    assert_eq!(report.findings[0].place.file.as_ref(), other.files[1].0);

    // And by one that the same key signed for the same ledger at another time.
    let mut files = made.files.clone();
    files[1] = rewritten().files[1].clone();
    let report = verify(&files, made.given_newest());
    assert_eq!(report.verdict(), Verdict::Changed);
}

#[test]
fn a_forged_frontier_before_pruned_files() {
    let (made, forged) = (made(), rewritten());
    // The earlier files are gone, and the rest claim to continue others.
    let mut files = made.files[1..].to_vec();
    let field = |line: &str, name: &str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        record[name].to_string()
    };
    let theirs = forged.files[1].1[0].clone();
    let ours = files[0].1[0].clone();
    assert_ne!(field(&ours, "frontier"), field(&theirs, "frontier"));
    for names in [&["frontier"][..], &["frontier", "root"], &["root"]] {
        let mut line = ours.clone();
        for name in names {
            line = line.replace(&field(&ours, name), &field(&theirs, name));
        }
        files[0].1[0] = line;
        relink(&mut files, 0, 0);
        let report = verify(&files, made.given());
        assert_eq!(report.verdict(), Verdict::Changed, "{names:?}");
        assert_eq!(report.findings[0].place.line, Some(1));
    }
    // A frontier of another form.
    let hash = "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"";
    let empty = [
        String::from("[]"),
        format!("[{hash}]"),
        format!("[{hash},{hash},{hash}]"),
    ];
    for frontier in empty {
        files[0].1[0] = ours.replace(&field(&ours, "frontier"), &frontier);
        relink(&mut files, 0, 0);
        let report = verify(&files, made.given());
        assert_eq!(faults(&report)[0], &Fault::Frontier, "{frontier}");
    }
}
