//! What `qseed audit verify` says of a ledger that nobody changed, and its exit codes.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::maker::Maker;
use super::{Ledger, ORIGIN, SECRET};
use crate::bench::{Bench, Ran, mode, qseed, qseed_of_nobody};

#[test]
fn a_whole_ledger_holds() {
    let ledger = Ledger::new();
    for file in ["audit.jsonl", &ledger.name(0), &ledger.name(1)] {
        let ran = ledger.audit(&["verify", file, "--key", "keys"]);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{ran:?}");
        for words in [
            ORIGIN,
            " in 3 files: 120 seeds, 60 refused",
            "signed    up to ",
            "contains  the ",
            "\nAll holds: nothing was changed, and a key that you gave signed all but the last 1 record.",
        ] {
            assert!(ran.out.contains(words), "{words}: {}", ran.out);
        }
    }
    let [key, _] = ledger.made.key.verifier_keys();
    let ran = ledger.audit(&["verify", "audit.jsonl", "--key", &key.to_string()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let document = ledger.verify(&["--json"]).json();
    assert_eq!(document["result"], "holds");
    assert_eq!(document["origin"], ORIGIN);
    assert_eq!(document["records"], ledger.made.chain.seq());
    assert_eq!(document["findings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn every_checkpoint_that_was_kept_is_contained() {
    let ledger = Ledger::new();
    let notes = &ledger.made.notes;
    let mut words = Vec::new();
    for (number, note) in notes.iter().enumerate() {
        let path = ledger.bench.write(&format!("old-{number}"), note);
        words.extend(["--checkpoint".to_owned(), path.display().to_string()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = ledger.verify(&words);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.out.matches("\ncontains ").count(), notes.len() + 1);
}

#[test]
fn without_a_key_from_elsewhere_nothing_is_authenticated() {
    let ledger = Ledger::new();
    let ran = ledger.audit(&["verify", "audit.jsonl"]);
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(ran.err.starts_with("qseed: NOT authenticated: "), "{ran:?}");
    assert_eq!(ran.err.matches('\n').count(), 1, "{ran:?}");
    assert!(!ran.out.contains("All holds"), "{ran:?}");
    // It prints the keys, so that they can be compared.
    let lines = ran.out.lines().filter_map(|line| line.strip_prefix("key "));
    let keys: Vec<&str> = lines.map(str::trim).collect();
    assert_eq!(keys, ledger.made.vkeys());
    let ran = ledger.audit(&["verify", "audit.jsonl", "--key", keys[0], "--key", keys[1]]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let document = ledger.audit(&["verify", "audit.jsonl", "--json"]).json();
    assert_eq!(document["result"], "not-authenticated");
    assert_eq!(document["keys"][0], keys[0]);
}

#[test]
fn a_witness_that_did_not_sign_is_missed() {
    let ledger = Ledger::new();
    let witness = Maker::new(&[9; 32], "witness.example/w1");
    let key = witness.key.verifier_keys()[1].to_string();
    let ran = ledger.verify(&["--witness", &key]);
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(ran.out.contains("witness.example/w1"), "{ran:?}");
}

#[test]
fn a_record_that_is_being_written_is_no_fault() {
    let ledger = Ledger::new();
    let mut text = fs::read_to_string(ledger.path("audit.jsonl")).expect("a text");
    text.push_str("{\"seq\":30");
    ledger.bench.write("audit.jsonl", &text);
    let ran = ledger.verify(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out
            .contains("the last 9 bytes are an incomplete record"),
        "{ran:?}"
    );
    // So do the other commands pass over it.
    assert_eq!(ledger.audit(&["show", "audit.jsonl"]).code, 0);
    let ran = ledger.audit(&["export", "--file", "audit.jsonl"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn intents_without_an_outcome_are_named() {
    let mut made = Maker::new(&SECRET, ORIGIN);
    made.intend("issuing-ca");
    made.checkpoint(true);
    let ledger = Ledger::of(made);
    let ran = ledger.verify(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("1 intent without an outcome"), "{ran:?}");
    assert!(ran.out.contains("issuing-ca in record 2"), "{ran:?}");
    let document = ledger.verify(&["--json"]).json();
    assert_eq!(document["open_intents"][0]["partition"], "issuing-ca");
}

#[test]
fn a_ledger_comes_from_a_pipe_too() {
    let ledger = Ledger::new();
    let run = |words: &[&str]| {
        let mut cat = Command::new("cat");
        let files = (0..3).map(|number| ledger.path(&ledger.name(number)));
        let mut cat = cat.args(files).stdout(Stdio::piped()).spawn().expect("cat");
        let mut command = qseed();
        command.current_dir(ledger.bench.folder.path());
        command
            .arg("audit")
            .args(words)
            .stdin(cat.stdout.take().expect("a pipe"));
        let ran = Ran::of(&mut command);
        // It holds the pipe too, on which cat may wait.
        drop(command);
        cat.wait().expect("cat ends");
        ran
    };
    let ran = run(&["verify", "-", "--key", "keys"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(" in 1 file: 120 seeds"), "{ran:?}");
    let ran = run(&["show", "-"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // What reads a ledger twice says so.
    let ran = run(&["export", "--file", "-"]);
    assert_eq!(ran.code, 64, "{ran:?}");
    assert!(ran.err.contains("is a pipe"), "{ran:?}");
}

#[test]
fn a_wrong_command_line_is_usage() {
    let ledger = Ledger::new();
    for (words, told) in [
        (&["verify", "nope.jsonl"][..], "nope.jsonl"),
        (&["verify", "."], "not its folder"),
        (
            &["verify", "audit.jsonl", "--key", "a+b+c"],
            "not a verifier key",
        ),
        (
            &["verify", "audit.jsonl", "--key", "no-such-file"],
            "no-such-file",
        ),
        (&["verify", "audit.jsonl", "--checkpoint", "nope"], "nope"),
        (
            &["verify", "audit.jsonl", "--since", "2026-01-01"],
            "--since",
        ),
        (
            &["show", "audit.jsonl", "--since", "yesterday"],
            "2026-11-24",
        ),
        (&["proof"], "SEQ"),
        (&["proof", "x"], "'x'"),
        (
            &["export", "--csv", "--json", "--file", "audit.jsonl"],
            "--csv",
        ),
        (
            &["export", "--tiles", "t", "--partition", "p"],
            "--partition",
        ),
        (&["verifiy"], "'verify'"),
        (&[], "see qseed --help"),
    ] {
        let ran = ledger.audit(words);
        assert_eq!((ran.code, &*ran.out), (64, ""), "{words:?}: {ran:?}");
        assert!(ran.err.contains(told), "{told}: {ran:?}");
    }
    let ran = ledger.audit(&["--help"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for command in ["verify", "show", "proof", "export", "key"] {
        assert!(ran.out.contains(&format!("\n  {command} ")), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_read_is_permission() {
    let ledger = Ledger::new();
    ledger.bench.open_to_all();
    mode(&ledger.bench.path("keys"), 0o644);
    let mut command = qseed_of_nobody();
    command.current_dir(ledger.bench.folder.path());
    let ran = Ran::of(command.args(["audit", "verify", "audit.jsonl", "--key", "keys"]));
    assert_eq!(ran.code, 77, "{ran:?}");
    assert!(ran.err.contains("as root"), "{ran:?}");
}

#[test]
fn without_a_file_the_configuration_says_where_the_ledger_is() {
    let ledger = Ledger::new();
    let bench = &ledger.bench;
    let partition = "partitions: [{name: p, module: /m.so, slot: 0, login: none}]\n";
    bench.config(partition);
    let ran = bench.command("audit", &[]);
    assert_eq!(ran.code, 64, "{ran:?}");
    let audit = |words: &[&str]| {
        let mut command = qseed();
        command.current_dir(bench.folder.path());
        Ran::of(command.args(["--config", "qseed.yml", "audit"]).args(words))
    };
    let ran = audit(&["verify", "--key", "keys"]);
    assert_eq!(ran.code, 64, "{ran:?}");
    assert!(ran.err.contains("no `audit`"), "{ran:?}");
    bench.config(&format!("{partition}audit: {{}}\n"));
    let ran = audit(&["verify", "--key", "keys"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    let file = bench.path("audit.jsonl").display().to_string();
    bench.config(&format!("{partition}audit: {{file: {file}}}\n"));
    for words in [
        &["verify", "--key", "keys"][..],
        &["show"],
        &["proof", "3"],
        &["export"],
    ] {
        let ran = audit(words);
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
    }
    bench.write("qseed.yml", "nonsense: true\n");
    let ran = audit(&["show"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("name the ledger's file"), "{ran:?}");
    assert_eq!(audit(&["show", "audit.jsonl"]).code, 0);
}

#[test]
fn what_somebody_put_beside_a_ledger_is_found_and_holds_nothing_up() {
    let put = |name: &str, put: fn(&str)| {
        let ledger = Ledger::new();
        let path = ledger.path(name);
        let _ = fs::remove_file(&path);
        put(&path);
        let ran = ledger.verify(&[]);
        assert_eq!(ran.code, 65, "{name}: {ran:?}");
    };
    let fifo = |path: &str| {
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo").success());
    };
    let zeros = |path: &str| std::os::unix::fs::symlink("/dev/zero", path).expect("a link");
    let binary = |path: &str| fs::write(path, [0xff; 3000]).expect("written");
    let long = |path: &str| fs::write(path, "x".repeat(300_000)).expect("written");
    let older = Ledger::new().name(0);
    for name in ["audit.checkpoint", "audit.witnessed", &older] {
        put(name, fifo);
        put(name, zeros);
        put(name, binary);
        put(name, long);
    }
    put("audit.jsonl", |_| {});
    // A whole set, of which the current file alone was emptied: its checkpoint says what is missing.
    let ledger = Ledger::new();
    ledger.bench.write("audit.jsonl", "");
    let ran = ledger.verify(&[]);
    assert_eq!(ran.code, 65, "{ran:?}");
    assert!(ran.out.contains(" in 3 files: "), "{ran:?}");
    let ran = ledger.audit(&["verify", "audit.jsonl", "--key", "audit.jsonl"]);
    assert_eq!(ran.code, 64, "an empty file of keys: {ran:?}");
    binary(&ledger.path("keys"));
    let ran = ledger.verify(&[]);
    assert_eq!(ran.code, 64, "{ran:?}");
}

#[test]
fn hostile_files_take_little_memory() {
    let bench = Bench::new();
    let file = bench.path("audit.jsonl").display().to_string();
    // 256 MiB without a line end, as such and packed.
    let make = |script: &str| {
        let made = Command::new("sh")
            .args(["-c", script])
            .env("FILE", &file)
            .status();
        assert!(made.expect("sh").success(), "{script}");
    };
    let many = "head -c 268435456 /dev/zero";
    for script in [
        format!("{many} > $FILE"),
        "head -c 1000000 /dev/zero | tr '\\0' '\\n' > $FILE".to_owned(),
        format!("{many} | tr '\\0' '[' | gzip -1 > $FILE"),
    ] {
        make(&script);
        for command in ["verify", "show"] {
            let mut limited = Command::new("sh");
            let limit =
                "ulimit -v 400000; exec \"$0\" audit \"$@\" 2> err | tail -c 2000 > out; exit";
            limited.args(["-c", limit, env!("CARGO_BIN_EXE_qseed"), command, &file]);
            limited.env_clear().current_dir(bench.folder.path());
            limited.process_group(0);
            let ended = limited.status().expect("sh");
            assert!(ended.code().is_some(), "{command} after {script}: {ended}");
            let err = fs::read_to_string(bench.path("err")).expect("a text");
            assert!(err.len() < 20_000 && !err.contains("memory"), "{err}");
            let says = ["CHANGED", "damaged", "NOT authenticated"];
            let says = says.iter().any(|words| err.contains(words));
            assert!(says || command == "show", "{command} after {script}: {err}");
        }
    }
}
