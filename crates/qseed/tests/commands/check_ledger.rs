//! `qseed check`: the ledger.

use std::fs;

use rustix::fs::{FlockOperation, flock};

use super::bench::{Bench, Ran, Vendor, mode};

/// A configuration with a small ledger.
fn configure(bench: &Bench, module: &Vendor, audit: &str) {
    let module = module.name();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {module}, slot: 0, login: none, size: 32}}]\n\
         audit: {{rotate: {{size: 64KiB, keep: 2}}, {audit}}}\n"
    ));
}

fn bench() -> (Bench, Vendor) {
    let bench = Bench::new();
    let module = bench.module("vendor", |_| {});
    configure(&bench, &module, "");
    (bench, module)
}

fn written() -> (Bench, Vendor) {
    let (bench, module) = bench();
    let ran = bench.command("run", &["--once"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    (bench, module)
}

/// The verdict on the ledger that mentions this.
fn ledger<'r>(bench: &Bench, ran: &'r Ran, finding: &str, words: &[&str]) -> &'r str {
    let file = bench.state().join("audit.jsonl");
    ran.verdict(&format!("{finding:<8} ledger {}: ", file.display()), words)
}

#[test]
fn a_new_ledger_is_announced_and_nothing_is_made() {
    let (bench, _module) = bench();
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ledger(&bench, &ran, "ok", &["can be made in"]);
    ledger(&bench, &ran, "ok", &["makes the signing key", "audit.key"]);
    ledger(&bench, &ran, "ok", &["a new ledger begins"]);
    assert!(!bench.state().exists());
}

#[test]
fn a_ledger_goes_on_is_in_use_was_interrupted_or_cannot_go_on() {
    let (bench, _module) = written();
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ledger(&bench, &ran, "ok", &["goes on after", "records"]);

    let lock = fs::File::open(bench.state().join("audit.lock")).expect("a lock");
    flock(&lock, FlockOperation::LockExclusive).expect("free");
    ledger(
        &bench,
        &bench.check(&[]),
        "ok",
        &["a qseed process writes it"],
    );
    let refused = bench.command("run", &["--once"]);
    assert_eq!(refused.code, 75, "{refused:?}");
    assert!(
        refused
            .err
            .contains("another qseed process writes the ledger")
    );
    drop(lock);

    let file = bench.state().join("audit.jsonl");
    let whole = fs::read(&file).expect("a ledger");
    fs::write(&file, [&whole[..], b"{\"se"].concat()).expect("written");
    ledger(
        &bench,
        &bench.check(&[]),
        "warning",
        &["4 bytes", "cuts them off"],
    );
    assert_eq!(
        fs::metadata(&file).expect("a file").len(),
        whole.len() as u64 + 4
    );

    fs::write(&file, &whole[..whole.len() / 2]).expect("cut");
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 0, "a warning: {ran:?}");
    ledger(
        &bench,
        &ran,
        "warning",
        &["cannot be continued", "begins a new one"],
    );
    assert!(!bench.state().read_dir().expect("a folder").any(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .starts_with("audit-")
    }));
}

#[test]
fn a_key_that_is_none_or_open_to_others_is_a_fault_with_its_fix() {
    let (bench, module) = written();
    let key = bench.state().join("audit.key");
    mode(&key, 0o640);
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 77, "{ran:?}");
    ledger(
        &bench,
        &ran,
        "fault",
        &["audit.key", "fix: run: chmod go-rwx"],
    );
    assert_eq!(bench.command("run", &["--once"]).code, 77);
    mode(&key, 0o600);
    fs::remove_file(&key).expect("removed");
    ledger(
        &bench,
        &bench.check(&[]),
        "warning",
        &["signing key is gone"],
    );

    let key = bench.write("key", "no key\n");
    configure(
        &bench,
        &module,
        &format!("signing_key: 'file:{}'", key.display()),
    );
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 78, "{ran:?}");
    ledger(
        &bench,
        &ran,
        "fault",
        &["not 32 bytes in base64", "openssl rand -base64 32"],
    );
    assert!(!ran.out.contains("no key"));
    assert_eq!(bench.command("run", &["--once"]).code, 78);
}

#[test]
fn files_that_others_can_write_are_not_used() {
    let (bench, _module) = written();
    let file = bench.state().join("audit.jsonl");
    mode(&file, 0o620);
    let ran = bench.check(&[]);
    assert_eq!(ran.code, 77, "{ran:?}");
    ledger(
        &bench,
        &ran,
        "fault",
        &["can be written by other users", "chmod go-w"],
    );
    let refused = bench.command("run", &["--once"]);
    assert_eq!(refused.code, 77, "{refused:?}");
}

#[test]
fn a_disk_that_the_ledger_may_fill_is_named() {
    let (bench, module) = bench();
    bench.config(&format!(
        "partitions: [{{name: ca, module: {}, slot: 0, login: none}}]\n\
         audit: {{rotate: {{size: 1TiB, keep: 100000}}}}\n",
        module.name()
    ));
    fs::create_dir(bench.state()).expect("made");
    mode(&bench.state(), 0o700);
    let ran = bench.check(&[]);
    ledger(
        &bench,
        &ran,
        "warning",
        &["may grow to", "MiB free", "audit.rotate"],
    );
}
