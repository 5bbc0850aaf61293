//! docs/ledger.md tells auditors what to type: it works, with tools that are not ours.

use std::fs;
use std::process::Command;

use qseed_log_client::{check, openssl_accepts};

use super::Ledger;
use crate::bench::Ran;

const MANUAL: &str = include_str!("../../../../../docs/ledger.md");

/// The shell commands of the manual's block that contains `words`.
fn block(words: &str) -> &'static str {
    let blocks = MANUAL.split("```sh\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().expect("an end"));
    blocks
        .find(|block| block.contains(words))
        .expect("in the manual")
}

/// Runs commands of the manual in the folder.
fn run(ledger: &Ledger, script: &str) -> Ran {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", script]);
    shell.current_dir(ledger.bench.folder.path());
    Ran::of(&mut shell)
}

#[test]
fn openssl_verifies_a_checkpoint_as_the_manual_says() {
    let ledger = Ledger::new();
    let script = block("openssl pkeyutl");
    let ran = run(&ledger, script);
    assert_eq!(
        (ran.code, ran.out.trim()),
        (0, "Signature Verified Successfully"),
        "{ran:?}"
    );
    let key = &ledger.made.vkeys()[0];
    assert!(openssl_accepts(key, &ledger.made.note()));
    let size = format!("\n{}\n", ledger.made.chain.seq() - 1);
    let note = ledger.made.note().replacen(&size, "\n300\n", 1);
    assert_ne!(note, ledger.made.note());
    ledger.bench.write("audit.checkpoint", &note);
    let ran = run(&ledger, script);
    assert!(ran.code != 0 && !ran.out.contains("Success"), "{ran:?}");
}

#[test]
fn sha256sum_follows_the_chain_as_the_manual_says() {
    let ledger = Ledger::new();
    let ran = run(&ledger, block("sha256sum"));
    let (digest, prev) = ran.out.split_once('\n').expect("two lines");
    let (digest, _) = digest.split_once(' ').expect("a digest");
    assert_eq!(prev.trim(), format!("\"prev\":\"{digest}\""), "{ran:?}");
}

#[test]
fn a_log_client_of_others_accepts_tiles_and_proofs() {
    let ledger = Ledger::new();
    let ran = ledger.audit(&["export", "--tiles", "tiles", "--file", "audit.jsonl"]);
    assert_eq!((ran.code, &*ran.out), (0, ""), "{ran:?}");
    // A folder that is there already is not written to.
    let ran = ledger.audit(&["export", "--tiles", "tiles", "--file", "audit.jsonl"]);
    assert_eq!(ran.code, 64, "{ran:?}");
    let folder = ledger.bench.folder.path();
    fs::rename(folder.join("keys"), folder.join("vkeys")).expect("renamed");
    let lines = ledger.made.files.iter().flat_map(|(_, lines)| lines);
    let lines: Vec<&str> = lines.map(String::as_str).collect();
    ledger.bench.write("lines", &(lines.join("\n") + "\n"));
    fs::create_dir(folder.join("proofs")).expect("made");
    for seq in ["0", "100", "255", "256"] {
        let ran = ledger.audit(&["proof", seq, "--file", "audit.jsonl"]);
        ledger
            .bench
            .write(&format!("proofs/{seq}.tlog-proof"), &ran.out);
    }
    let report = check(folder).expect("it holds");
    assert_eq!(report.proofs, 4, "{report:?}");
    assert!(report.tiles >= 4, "{report:?}");
}
