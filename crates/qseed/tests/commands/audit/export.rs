//! `qseed audit proof`, `export` and `key`: what verifies without the rest of the ledger.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::maker::Maker;
use super::{Ledger, ORIGIN, SECRET, alone, change_a_seed};
use crate::bench::{Ran, qseed};

/// What a command printed.
#[track_caller]
fn printed(ran: Ran) -> String {
    assert_eq!((ran.code, &*ran.err), (0, ""), "{ran:?}");
    ran.out
}

/// `qseed audit verify FILE --key KEY` in a folder with nothing else in it.
fn verify_alone(name: &str, content: &str, key: &str) -> Ran {
    let (bench, _) = alone(name, content);
    let mut command = qseed();
    command.current_dir(bench.folder.path());
    Ran::of(command.args(["audit", "verify", name, "--key", key]))
}

#[test]
fn a_proof_verifies_alone() {
    let ledger = Ledger::new();
    let [key, _] = ledger.made.key.verifier_keys();
    let key = key.to_string();
    let lines: Vec<&String> = ledger
        .made
        .files
        .iter()
        .flat_map(|(_, lines)| lines)
        .collect();
    for seq in [0, 1, 77, lines.len() - 2] {
        let ran = ledger.audit(&["proof", &seq.to_string(), "--file", "audit.jsonl"]);
        let proof = printed(ran);
        let extra = STANDARD.encode(lines[seq]);
        let begins = format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex {seq}\n");
        assert!(proof.starts_with(&begins), "{proof}");
        assert!(proof.ends_with(&ledger.made.note()), "{proof}");
        let ran = verify_alone("record.tlog-proof", &proof, &key);
        assert_eq!(ran.code, 0, "{ran:?}");
        // Another record with the same proof is found out.
        let other = proof.replace(&extra, &STANDARD.encode(lines[2]));
        let ran = verify_alone("record.tlog-proof", &other, &key);
        assert_eq!(ran.code, 65, "{ran:?}");
    }
    // The last record is the checkpoint itself, which signs what is before it.
    let last = (lines.len() - 1).to_string();
    let ran = ledger.audit(&["proof", &last, "--file", "audit.jsonl"]);
    assert_eq!((ran.code, &*ran.out), (75, ""), "{ran:?}");
}

#[test]
fn an_export_of_a_partition_verifies_alone() {
    let ledger = Ledger::new();
    let [key, _] = ledger.made.key.verifier_keys();
    let key = key.to_string();
    let words = [
        "export",
        "--partition",
        "issuing-ca",
        "--event",
        "seed",
        "--file",
        "audit.jsonl",
    ];
    let export = printed(ledger.audit(&words));
    let document: Value = serde_json::from_str(&export).expect("JSON");
    let records = document["records"].as_array().expect("a list");
    assert_eq!(records.len(), 60);
    for record in records {
        let line = record["line"].as_str().expect("a line");
        let line: Value = serde_json::from_str(line).expect("a record");
        assert_eq!(line["partition"], "issuing-ca");
        assert_eq!(line["seq"], record["index"]);
    }
    let ran = verify_alone("export.json", &export, &key);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("60"), "{ran:?}");
    // Without the key it is not authenticated; changed, it does not hold.
    let (bench, _) = alone("export.json", &export);
    let mut command = qseed();
    command.current_dir(bench.folder.path());
    let ran = Ran::of(command.args(["audit", "verify", "export.json"]));
    assert_eq!(ran.code, 75, "{ran:?}");
    for (from, to) in [
        ("CKR_OK", "CKR_0K"),
        ("issuing-ca", "issuing-cb"),
        ("\"index\":2,", "\"index\":3,"),
        ("\n]}\n", "\n"),
    ] {
        let ran = verify_alone("export.json", &export.replacen(from, to, 1), &key);
        let found = export.contains(from);
        assert!(ran.code == 65 || !found, "{from}: {ran:?}");
    }
}

#[test]
fn everything_is_exported_up_to_the_checkpoint() {
    let ledger = Ledger::new();
    for pruned in 0..2 {
        let export = printed(ledger.audit(&["export", "--json", "--file", "audit.jsonl"]));
        let document: Value = serde_json::from_str(&export).expect("JSON");
        let records = document["records"].as_array().expect("a list");
        let first = records[0]["index"].as_u64().expect("a number");
        assert_eq!(first + records.len() as u64 + 1, ledger.made.chain.seq());
        let [key, _] = ledger.made.key.verifier_keys();
        let ran = verify_alone("export.json", &export, &key.to_string());
        assert_eq!(ran.code, 0, "{ran:?}");
        fs::remove_file(ledger.path(&ledger.name(pruned))).expect("removed");
    }
}

#[test]
fn a_ledger_that_was_changed_is_not_exported_as_if_it_was_not() {
    let ledger = Ledger::new();
    ledger.edit(&ledger.name(1), |lines| change_a_seed(lines));
    for words in [
        &["export", "--file", "audit.jsonl"][..],
        &["proof", "3", "--file", "audit.jsonl"],
        &["export", "--tiles", "tiles", "--file", "audit.jsonl"],
    ] {
        let ran = ledger.audit(words);
        assert_eq!((ran.code, &*ran.out), (65, ""), "{ran:?}");
    }
    assert!(!ledger.bench.path("tiles").exists());
}

#[test]
fn without_a_checkpoint_file_the_newest_record_of_one_serves() {
    let ledger = Ledger::new();
    let with = printed(ledger.audit(&["proof", "7", "--file", "audit.jsonl"]));
    fs::remove_file(ledger.path("audit.checkpoint")).expect("removed");
    let without = printed(ledger.audit(&["proof", "7", "--file", "audit.jsonl"]));
    assert_eq!(with, without);
}

#[test]
fn a_table_has_a_row_for_each_record_and_no_formulas() {
    let mut made = Maker::new(&SECRET, ORIGIN);
    made.seed("=HYPERLINK(\"http://evil.example\")", None);
    made.seed("a,b", None);
    made.checkpoint(true);
    let ledger = Ledger::of(made);
    let table = printed(ledger.audit(&["export", "--csv", "--file", "audit.jsonl"]));
    let rows: Vec<&str> = table.split("\r\n").collect();
    assert_eq!(
        rows.len() as u64,
        1 + ledger.made.chain.seq() + 1,
        "{table}"
    );
    assert!(
        rows[0].starts_with("seq,time,event,partition,module,token_label,"),
        "{table}"
    );
    assert!(
        rows[3].contains(",seed,\"'=HYPERLINK(\"\"http://evil.example\"\")\","),
        "{table}"
    );
    assert!(rows[4].contains(",seed,\"a,b\","), "{table}");
    assert!(rows[3].contains(",48,"), "{table}");
    assert!(!table.contains(",="), "{table}");
}

#[test]
fn the_keys_are_printed_with_what_they_are_worth() {
    let ledger = Ledger::new();
    let ran = ledger.audit(&["key", "--file", "audit.jsonl"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.out,
        fs::read_to_string(ledger.path("keys")).expect("keys")
    );
    assert!(ran.err.contains("prove nothing"), "{ran:?}");
}
