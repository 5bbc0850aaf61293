//! `qseed check`: the ledger's witnesses and its anchor command.

use std::fs;

use qseed_witness::{Fault, Kind, Known, Witness};
use serde_json::{Value, json};

use super::bench::{Bench, Ran, Vendor, mode};

/// A bench with a ledger that one run has written, its origin and its keys.
fn written() -> (Bench, Vendor, String, Vec<String>) {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    configure(&bench, &module, &json!({}));
    let ran = bench.command("run", &["--once"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ledger = fs::read_to_string(bench.state().join("audit.jsonl")).expect("a ledger");
    let first: Value = serde_json::from_str(ledger.lines().next().expect("a line")).expect("JSON");
    let keys = first["keys"].as_array().expect("keys").iter();
    let keys = keys.map(|key| key.as_str().expect("text").to_owned());
    let origin = first["origin"].as_str().expect("text").to_owned();
    let keys = keys.collect();
    (bench, module, origin, keys)
}

fn configure(bench: &Bench, module: &Vendor, audit: &Value) {
    let module = module.name();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {module}, slot: 0, login: none, size: 32}}]\naudit: {audit}\n"
    ));
}

fn with_witness(bench: &Bench, module: &Vendor, witness: &Witness) {
    let tls = json!({ "ca": witness.ca_path() });
    let witness = json!({ "url": witness.url(), "key": witness.vkey(), "tls": tls });
    configure(bench, module, &json!({ "witnesses": [witness] }));
}

fn witness(ran: &Ran, finding: &str, words: &[&str]) {
    ran.verdict(&format!("{finding:<8} witness witness.example/w1: "), words);
}

#[test]
fn a_witness_is_reachable_and_knows_the_ledger_or_not() {
    let (bench, module, origin, keys) = written();
    let service = Witness::spawn("witness.example/w1", Kind::Ed25519);
    with_witness(&bench, &module, &service);
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 69, "{ran:?}");
    witness(&ran, "ok", &["is reachable over TLSv1.3, X25519MLKEM768"]);
    witness(
        &ran,
        "fault",
        &["does not know the ledger", &origin, "qseed audit key"],
    );

    for key in &keys {
        service.trust(key);
    }
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    witness(&ran, "ok", &["it knows the ledger", &origin]);

    // A key of the same name that is not the ledger's.
    let stranger = Witness::spawn("witness.example/w1", Kind::Ed25519);
    stranger.trust(&Witness::spawn(&origin, Kind::Ed25519).vkey());
    with_witness(&bench, &module, &stranger);
    witness(&bench.check(&[]), "fault", &["with other keys", &origin]);

    let root = [7; 32];
    service.set_known(
        &origin,
        Some(Known {
            size: 1 << 40,
            root,
        }),
    );
    with_witness(&bench, &module, &service);
    // Nothing that it could cosign is asked of it.
    witness(&bench.check(&[]), "ok", &["it knows the ledger"]);
    let known = service.known(&origin).expect("a checkpoint");
    assert_eq!(
        (known.size, known.root),
        (1 << 40, root),
        "nothing changed there"
    );
}

#[test]
fn a_witness_that_says_more_than_there_is_or_nothing_is_a_fault() {
    let (bench, module, origin, _) = written();
    let service = Witness::spawn("witness.example/w1", Kind::Ed25519);
    with_witness(&bench, &module, &service);
    for (fault, finding, words) in [
        (
            Fault::Answer(409, b"99999\n".to_vec()),
            "fault",
            &["has cosigned 99999 records"][..],
        ),
        (
            Fault::Answer(409, b"1\n".to_vec()),
            "ok",
            &["it knows the ledger", "up to record 1"],
        ),
        (
            Fault::Answer(409, b"<html>\n".to_vec()),
            "fault",
            &["is not the size of a tree"],
        ),
        (
            Fault::Answer(200, Vec::new()),
            "fault",
            &["cosigns without a proof"],
        ),
        (Fault::Status(400), "ok", &["it knows the ledger", &origin]),
        (Fault::Status(502), "fault", &["status 502"]),
    ] {
        service.set_fault(Some(fault));
        witness(&bench.check(&[]), finding, words);
    }
    service.set_fault(None);
    fs::remove_file(bench.state().join("audit.checkpoint")).expect("removed");
    witness(
        &bench.check(&[]),
        "warning",
        &["once qseed has signed a checkpoint"],
    );
}

#[test]
fn the_anchor_command_is_there_and_executable_and_nobody_elses() {
    let (bench, module, ..) = written();
    let program = bench.write("anchor", "#!/bin/sh\ntouch \"$0.ran\"\n");
    configure(&bench, &module, &json!({ "anchor": [program] }));
    let verdict = |finding: &str, words: &[&str]| {
        let ran = bench.check(&[]);
        ran.verdict(
            &format!("{finding:<8} anchor {}: ", program.display()),
            words,
        );
    };
    mode(&program, 0o600);
    verdict("fault", &["is no program that qseed may run"]);
    mode(&program, 0o755);
    verdict("ok", &["it is there and executable"]);
    assert!(!bench.path("anchor.ran").exists(), "check runs it not");
    mode(&program, 0o777);
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 77, "{ran:?}");
    assert!(
        ran.err
            .contains("other users can change the anchor command")
    );
    fs::remove_file(&program).expect("removed");
    verdict("fault", &["No such file", "audit.anchor"]);
}
