//! Exports and `.tlog-proof` files verify alone, and no change in them goes unnoticed.

use qseed_ledger::export::{END, Entry, Head};
use qseed_ledger::proof::Proof;
use qseed_ledger::tree::{Frontier, Leaves, leaf_hash};
use qseed_ledger::verify::{Doubt, Fault, Given, Verdict};

use crate::maker::{Maker, ORIGIN, SECRET, findings, given_checkpoint, verify_bytes};

fn made() -> Maker {
    Maker::new(&SECRET, ORIGIN).three_files()
}

/// The tree and the lines of a set whose first files were pruned.
fn leaves(made: &Maker, pruned: usize) -> (Leaves, Vec<String>) {
    let lines = |files: &[(String, Vec<String>)]| -> Vec<String> {
        files.iter().flat_map(|(_, lines)| lines.clone()).collect()
    };
    let mut before = Frontier::new();
    for line in lines(&made.files[..pruned]) {
        before.append(leaf_hash(line.as_bytes()));
    }
    let mut leaves = Leaves::new(&before);
    let lines = lines(&made.files[pruned..]);
    for line in &lines {
        leaves.append(leaf_hash(line.as_bytes()));
    }
    (leaves, lines)
}

/// The lines of an export of the records of one partition.
fn export(made: &Maker, pruned: usize) -> Vec<String> {
    let (leaves, lines) = leaves(made, pruned);
    let size = made.chain.seq() - 1;
    let mut export = vec![Head::new(made.vkeys(), made.note()).line()];
    for (line, index) in lines.into_iter().zip(leaves.first()..size) {
        if line.contains("root-ca") {
            let proof = leaves.inclusion(index, size).expect("here");
            export.push(Entry { index, line, proof }.line() + ",");
        }
    }
    let last = export.last_mut().expect("a record");
    last.pop();
    export.push(END.to_owned());
    export
}

fn proof(made: &Maker, index: u64) -> Proof {
    let (leaves, lines) = leaves(made, 1);
    let line = &lines[usize::try_from(index - leaves.first()).expect("here")];
    Proof {
        line: Some(line.clone().into_bytes()),
        index,
        hashes: leaves.inclusion(index, made.chain.seq() - 1).expect("here"),
        note: made.note().parse().expect("a note"),
    }
}

fn verify(text: &str, given: Given) -> qseed_ledger::verify::Report {
    verify_bytes(&[("export", text.as_bytes().to_vec())], given)
}

#[test]
fn an_export_verifies_alone() {
    let made = made();
    for pruned in 0..3 {
        let lines = export(&made, pruned);
        for end in ["", "\n"] {
            let report = verify(&(lines.join("\n") + end), made.given_newest());
            assert_eq!(report.verdict(), Verdict::Holds, "{report:#?}");
            assert_eq!(report.records, lines.len() as u64 - 2);
            assert_eq!(
                (report.seeds, report.refusals),
                (report.records / 2, report.records / 2)
            );
            assert_eq!(report.origin.as_deref(), Some(ORIGIN));
            assert_eq!(report.confirmed.len(), 1);
        }
        let report = verify(&lines.join("\n"), Given::default());
        assert_eq!(report.verdict(), Verdict::NotAuthenticated);
        assert_eq!(report.announced, made.key.verifier_keys());
    }
}

#[test]
fn a_proof_verifies_alone() {
    let made = made();
    let proof = proof(&made, 100);
    let report = verify(&proof.to_string(), made.given_newest());
    assert_eq!(report.verdict(), Verdict::Holds, "{report:#?}");
    assert_eq!((report.first, report.size, report.records), (100, 101, 1));
    let without = Proof {
        line: None,
        ..proof
    };
    let report = verify(&without.to_string(), made.given());
    assert!(
        matches!(report.findings[0].fault, Fault::Short(_)),
        "{report:#?}"
    );
}

#[test]
fn one_key_is_enough_for_a_note_that_only_one_signs() {
    let mut made = Maker::new(&SECRET, ORIGIN);
    made.seed("root-ca", None);
    made.checkpoint(false);
    let report = verify(&export(&made, 0).join("\n"), made.given());
    assert_eq!(report.verdict(), Verdict::Holds, "{report:#?}");
}

#[test]
fn every_change_of_an_export_or_a_proof_is_found() {
    let made = made();
    let export = export(&made, 2);
    let (whole, proof) = (export.join("\n"), proof(&made, 100).to_string());
    // Commas between records do not matter; one of two signatures may be of a key that nobody knows.
    let is_free = |text: &str, at: usize| {
        let signatures = text.find('\u{2014}').expect("a signature");
        let end = text[signatures..]
            .find('"')
            .map_or(text.len(), |end| signatures + end);
        text[at..].starts_with(",\n") || (signatures..end).contains(&at)
    };
    for text in [whole, proof] {
        assert_eq!(verify(&text, made.given()).verdict(), Verdict::Holds);
        for at in (0..text.len()).step_by(101) {
            if !text.is_char_boundary(at) || !text.is_char_boundary(at + 1) || is_free(&text, at) {
                continue;
            }
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            let report = verify(&changed, made.given());
            assert_ne!(report.verdict(), Verdict::Holds, "byte {at}");
            let cut = verify(&text[..at], made.given());
            assert_ne!(cut.verdict(), Verdict::Holds, "cut at {at}");
        }
    }
}

#[test]
fn records_of_an_export_are_in_order_and_each_is_its_own() {
    let made = made();
    let export = export(&made, 0);
    let (mut twice, mut exchanged, mut moved) = (export.clone(), export.clone(), export.clone());
    twice.insert(2, export[2].clone());
    exchanged.swap(2, 3);
    let mut entry = Entry::parse(export[2].as_bytes()).expect("an entry");
    entry.index += 1;
    moved[2] = entry.line() + ",";
    for wrong in [twice, exchanged, moved] {
        let report = verify(&wrong.join("\n"), made.given());
        assert_eq!(report.verdict(), Verdict::Changed);
        assert!(
            report.findings[0]
                .place
                .line
                .is_some_and(|line| (3..=4).contains(&line)),
            "{}",
            findings(&report)
        );
    }
}

#[test]
fn another_checkpoint_can_only_be_compared_if_it_is_the_same() {
    let made = made();
    let text = export(&made, 0).join("\n");
    let report = verify(&text, given_checkpoint(made.given(), &made.notes[0]));
    assert_eq!(report.verdict(), Verdict::NotAuthenticated);
    assert!(
        matches!(report.doubts[..], [Doubt::NotCompared { .. }]),
        "{report:#?}"
    );
    let other = Maker::new(&SECRET, "another").three_files();
    let report = verify(&text, given_checkpoint(made.given(), &other.note()));
    assert!(
        matches!(report.findings[0].fault, Fault::Origin { .. }),
        "{report:#?}"
    );
}
