//! What a verifier says of ledgers that nobody changed.

use crate::maker::{
    Maker, ORIGIN, SECRET, bytes, findings, given_checkpoint, verify, verify_bytes,
};
use qseed_ledger::verify::{Doubt, Given, Trust, Verdict};

fn made() -> Maker {
    Maker::new(&SECRET, ORIGIN).three_files()
}

#[test]
fn a_whole_set_holds() {
    let made = made();
    let report = verify(&made.files, made.given_newest());
    assert_eq!(report.verdict(), Verdict::Holds, "{report:#?}");
    assert_eq!(report.origin.as_deref(), Some(ORIGIN));
    assert_eq!((report.files, report.first), (3, 0));
    assert_eq!(report.size, made.chain.seq());
    assert_eq!(report.records, made.chain.seq());
    assert_eq!((report.seeds, report.refusals), (72, 36));
    assert_eq!(report.events["checkpoint"], 9);
    assert_eq!(report.authenticated, made.chain.seq() - 1);
    assert_eq!(report.confirmed.len(), 1);
    assert_eq!(report.open_intents, []);
    let notes: Vec<_> = report.signers.iter().map(|signer| signer.notes).collect();
    // Each checkpoint, each file's first record and the given one; of them the strong ones.
    assert_eq!(notes, [9 + 2 + 1, 6 + 2 + 1]);
}

#[test]
fn it_is_the_same_in_pieces_of_any_length() {
    let made = made();
    let whole = bytes(
        &made
            .files
            .iter()
            .flat_map(|file| file.1.clone())
            .collect::<Vec<_>>(),
    );
    for piece in [1, 7, 4096] {
        let mut verifier = qseed_ledger::verify::Verifier::new(made.given());
        verifier.file("all");
        whole.chunks(piece).for_each(|bytes| verifier.feed(bytes));
        let report = verifier.finish();
        assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
        assert_eq!(report.size, made.chain.seq());
    }
}

#[test]
fn each_end_of_a_set_holds_when_the_files_before_are_pruned() {
    let made = made();
    for pruned in [1, 2] {
        let report = verify(&made.files[pruned..], made.given_newest());
        assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
        assert_eq!(report.origin.as_deref(), Some(ORIGIN));
        assert!(report.first > 0);
        assert_eq!(report.size, made.chain.seq());
        // A single file from the middle too.
        let report = verify(&made.files[1..2], made.given());
        assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
    }
}

#[test]
fn a_checkpoint_from_before_the_pruned_files_proves_nothing() {
    let made = made();
    let given = given_checkpoint(made.given(), &made.notes[0]);
    let report = verify(&made.files[1..], given);
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    assert!(
        matches!(report.doubts[..], [Doubt::CheckpointTooOld { .. }]),
        "{report:#?}"
    );
}

#[test]
fn every_checkpoint_that_was_signed_is_confirmed() {
    let made = made();
    let mut given = made.given();
    for note in &made.notes {
        given = given_checkpoint(given, note);
    }
    let report = verify(&made.files, given);
    assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
    assert_eq!(report.confirmed.len(), made.notes.len());
}

#[test]
fn without_a_key_nothing_is_authenticated() {
    let made = made();
    let report = verify(
        &made.files,
        given_checkpoint(Given::default(), &made.note()),
    );
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    assert_eq!(report.doubts, [Doubt::NoKey]);
    assert_eq!(report.authenticated, 0);
    assert_eq!(report.announced, made.key.verifier_keys());
    assert!(
        report
            .signers
            .iter()
            .all(|signer| signer.trust == Trust::Announced)
    );
}

#[test]
fn each_of_the_keys_alone_is_enough() {
    let made = made();
    for (key, size) in made.key.verifier_keys().iter().zip([1, 1]) {
        let given = Given {
            keys: vec![key.clone()],
            ..Given::default()
        };
        let report = verify(&made.files, given);
        assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
        assert_eq!(report.authenticated, made.chain.seq() - size);
    }
}

#[test]
fn a_key_that_has_signed_nothing_yet_is_named() {
    let mut made = Maker::new(&SECRET, ORIGIN);
    made.checkpoint(false);
    let report = verify(&made.files, made.given());
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    let ml_dsa = made.key.verifier_keys()[1].clone();
    assert_eq!(report.doubts, [Doubt::SignedNothing(ml_dsa)]);
}

#[test]
fn a_torn_last_line_is_no_fault_and_no_record() {
    let made = made();
    let mut all = bytes(&made.files[2].1);
    all.extend_from_slice(b"{\"seq\":");
    let report = verify_bytes(&[("audit.jsonl", all.clone())], made.given_newest());
    assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
    assert_eq!((report.torn, report.size), (7, made.chain.seq()));

    // But it is one where another file follows.
    let mut all = bytes(&made.files[1].1);
    all.extend_from_slice(b"{\"seq\":");
    let last = bytes(&made.files[2].1);
    let report = verify_bytes(&[("one", all), ("two", last)], made.given());
    assert_eq!(report.verdict(), Verdict::Changed);
    assert_eq!(findings(&report), "one: the file ends within a record\n");
}

#[test]
fn intents_without_an_outcome_are_named() {
    let mut made = Maker::new(&SECRET, ORIGIN);
    let lost = made.intend("issuing-ca");
    let done = made.intend("root-ca");
    made.seed("root-ca", Some(done));
    made.checkpoint(true);
    // The daemon was killed. Its successor counts from 1 again.
    made.start();
    let mut other = Maker::new(&SECRET, ORIGIN);
    let again = other.intend("x");
    assert_eq!(again, lost);
    made.seed("issuing-ca", Some(again));
    let under_way = made.intend("root-ca");
    made.checkpoint(true);
    let report = verify(&made.files, made.given());
    assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
    let open: Vec<_> = report
        .open_intents
        .iter()
        .map(|intent| (intent.partition.as_str(), intent.job))
        .collect();
    assert_eq!(open, [("issuing-ca", lost), ("root-ca", under_way)]);
}

#[test]
fn an_event_of_a_later_version_is_no_fault() {
    let mut made = Maker::new(&SECRET, ORIGIN);
    // As a record that this version knows, but for the name.
    let before = made.chain.clone();
    made.stop();
    let line = made.lines().pop().expect("a line");
    let line = line.replace("stopped", "moon-landing");
    made.chain = before;
    made.chain.push(line.as_bytes());
    made.lines().push(line);
    made.checkpoint(true);
    let report = verify(&made.files, made.given());
    assert_eq!(report.verdict(), Verdict::Holds, "{}", findings(&report));
    assert_eq!(report.events["moon-landing"], 1);
}

/// The fuzz target `ledger_verify` compares with this ledger, whose last record is a checkpoint.
#[test]
fn the_ledger_that_fuzzing_begins_with_holds() {
    let corpus = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fuzz/corpus/ledger_verify"
    );
    let given = Maker::new(&SECRET, ORIGIN).given();
    for (name, verdict) in [
        ("two_files", Verdict::Holds),
        ("pruned", Verdict::Holds),
        ("torn", Verdict::Holds),
        ("export", Verdict::Holds),
        ("proof", Verdict::Holds),
        ("exchanged_files", Verdict::Changed),
        ("removed_line", Verdict::Changed),
        ("no_start", Verdict::Changed),
    ] {
        let bytes = std::fs::read(format!("{corpus}/{name}")).expect("it is in the repository");
        let files: Vec<_> = bytes
            .split(|byte| *byte == 0)
            .map(|file| ("file", file.to_vec()))
            .collect();
        let report = verify_bytes(&files, given.clone());
        assert_eq!(report.verdict(), verdict, "{name}: {}", findings(&report));
    }
}
