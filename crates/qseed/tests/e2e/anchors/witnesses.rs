//! Witnesses cosign the ledger, or do not.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use qseed_ledger::key::{VerifierKey, signers};
use qseed_ledger::note::Note;
use qseed_ledger::record::Body;
use qseed_witness::{Fault, Kind, Request, Witness};
use rustix::process::Signal;
use serde_json::json;

use super::{Stage, configured, said, with_witness};
use crate::support::{PATIENCE, for_each_case};

fn statuses(requests: &[Request]) -> Vec<Option<u16>> {
    requests.iter().map(|it| it.status).collect()
}

/// The witnesses of the records and the sizes that they cosigned.
fn witnessed(stage: &Stage) -> Vec<(String, u64)> {
    let records = stage.ledger.check().records;
    let of = |body: &Body| match body {
        Body::Witnessed(it) => Some((it.witness.clone(), it.size)),
        _ => None,
    };
    records.iter().filter_map(|it| of(&it.body)).collect()
}

/// Waits until `audit.witnessed` has a checkpoint of this size with so many signatures.
fn kept(stage: &Stage, size: u64, signatures: usize) -> Note {
    let file = stage.ledger.path("audit.witnessed");
    let until = Instant::now() + PATIENCE;
    loop {
        let note = fs::read_to_string(&file).ok();
        let note = note.map(|note| note.parse::<Note>().expect("a note"));
        let wanted = note.filter(|note| {
            let of = note.text().lines().nth(1) == Some(size.to_string().as_str());
            of && note.signatures().len() == signatures
        });
        if let Some(note) = wanted {
            return note;
        }
        assert!(
            Instant::now() < until,
            "{signatures} signatures of size {size}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn each_strong_checkpoint_is_cosigned_and_the_cosignatures_are_kept() {
    let stage = Stage::new();
    let (one, two) = (
        Witness::spawn("witness.example/w1", Kind::Ed25519),
        Witness::spawn("witness.example/w2", Kind::MlDsa44),
    );
    stage.introduce(&one);
    stage.introduce(&two);
    let audit = json!({ "witnesses": [configured(&one), configured(&two)] });
    let (origin, log_keys) = stage.keys();

    // A ledger that no witness knows yet: nothing to prove.
    let daemon = stage.start(&audit);
    let cosigned = |daemon: &crate::support::daemon::Qseed| {
        for name in ["witness.example/w1", "witness.example/w2"] {
            said(daemon, "witnessed", name);
        }
    };
    cosigned(&daemon);
    for witness in [&one, &two] {
        let requests = witness.requests();
        assert_eq!(statuses(&requests), [Some(200)]);
        assert_eq!((requests[0].old, requests[0].proof), (0, 0));
        assert_eq!(requests[0].signatures, 2, "Ed25519 and ML-DSA-44");
    }
    daemon.wait_pushed(1);
    let first = one.known(&origin).expect("cosigned").size;
    kept(&stage, first, 4);
    daemon.stop();

    // The next process learns the size from the witness, and proves the growth from the files.
    let daemon = stage.start(&audit);
    cosigned(&daemon);
    let requests = one.requests();
    assert_eq!(statuses(&requests), [Some(200), Some(409), Some(200)]);
    assert_eq!(requests[2].old, first);
    assert!(
        requests[2].proof > 0 && requests[2].size > first,
        "{requests:?}"
    );
    let second = one.known(&origin).expect("cosigned").size;
    let note = kept(&stage, second, 4);
    daemon.stop();

    let mut records = witnessed(&stage);
    records.sort();
    let [w1, w2] = ["witness.example/w1", "witness.example/w2"].map(str::to_owned);
    let expected = [
        (w1.clone(), first),
        (w1, second),
        (w2.clone(), first),
        (w2, second),
    ];
    assert_eq!(records, expected);

    let keys: Vec<VerifierKey> = log_keys
        .iter()
        .chain([&one.vkey(), &two.vkey()])
        .map(|key| key.parse().expect("a key"))
        .collect();
    let signed = signers(&note, &keys).expect("signed");
    assert_eq!(
        signed.len(),
        4,
        "the ledger's two signatures and two witnesses'"
    );
}

/// What the log says of a witness that does this, at which level, and whether qseed tries again
/// before the next checkpoint.
const FAULTS: [(&str, &str, bool); 10] = [
    ("status 404", "give its operator the keys", false),
    (
        "status 403",
        "does not accept the ledger's signatures",
        false,
    ),
    ("status 422", "has cosigned other records", false),
    ("status 503", "status 503", true),
    ("close", "closed the connection", true),
    ("endless", "more than the", true),
    ("garbage", "its answer is wrong", false),
    (
        "other key",
        "the signature of witness.example/w1 is false",
        false,
    ),
    (
        "other root",
        "the signature of witness.example/w1 is false",
        false,
    ),
    ("no time", "its signature has no time", false),
];

fn fault(name: &str) -> Fault {
    match name {
        "close" => Fault::Close,
        "endless" => Fault::Endless,
        "garbage" => Fault::Answer(200, b"<html>a portal</html>\n".to_vec()),
        "other key" => Fault::OtherKey,
        "other root" => Fault::OtherRoot,
        "no time" => Fault::NoTime,
        _ => Fault::Status(name[7..].parse().expect("a status")),
    }
}

#[test]
fn a_witness_that_fails_or_lies_is_said_once_and_stops_nothing() {
    for_each_case(&FAULTS, 3, |(name, text, retries)| {
        let stage = Stage::new();
        let witness = Witness::spawn("witness.example/w1", Kind::Ed25519);
        stage.introduce(&witness);
        witness.set_fault(Some(fault(name)));
        let daemon = stage.start(&with_witness(&witness));
        let line = said(&daemon, "not-witnessed", text);
        assert_eq!(line["next_in_seconds"].is_number(), *retries, "{line}");
        let is_grave = !retries && !matches!(*name, "status 404" | "status 403");
        let level = if is_grave { "error" } else { "warning" };
        assert_eq!(line["level"], level, "{line}");
        let pushed = daemon.log.all().len();
        daemon.pushed_from(pushed);
        let log = daemon.stop();
        let lines = log.iter().filter(|line| line.contains("not-witnessed"));
        assert_eq!(lines.count(), 1, "{name}: {log:#?}");
        assert!(witnessed(&stage).is_empty(), "{name}");
        assert!(!stage.ledger.path("audit.witnessed").exists(), "{name}");
        assert!(stage.ledger.check().is_signed_to_the_end());
    });
}

#[test]
fn a_witness_that_is_down_or_hangs_delays_neither_seeds_nor_the_end() {
    for is_down in [true, false] {
        let stage = Stage::new();
        let witness = Witness::spawn("witness.example/w1", Kind::Ed25519);
        stage.introduce(&witness);
        witness.set_fault(Some(Fault::Hang));
        let mut audit = with_witness(&witness);
        if is_down {
            let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let place = closed.local_addr().expect("an address");
            audit["witnesses"][0]["url"] = json!(format!("https://{place}"));
        }
        let daemon = stage.start(&audit);
        if is_down {
            said(&daemon, "not-witnessed", "cannot connect");
        } else {
            let _ = witness.wait_for(|it| !it.is_empty(), PATIENCE);
        }
        let seen = daemon.log.all().len();
        daemon.pushed_from(seen);
        let began = Instant::now();
        daemon.signal(Signal::TERM);
        daemon.stop_after_signal();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(stage.ledger.check().is_signed_to_the_end());
    }
}

#[test]
fn signatures_of_keys_that_nobody_knows_are_not_kept() {
    let stage = Stage::new();
    let witness = Witness::spawn("witness.example/w1", Kind::MlDsa44);
    stage.introduce(&witness);
    witness.set_fault(Some(Fault::AmongOthers));
    let daemon = stage.start(&with_witness(&witness));
    said(&daemon, "witnessed", "cosigned the ledger's");
    let known = witness.known(&stage.keys().0).expect("cosigned");
    kept(&stage, known.size, 3);
    daemon.stop();
}

#[test]
fn a_restored_backup_is_found_by_the_witness_that_knows_more() {
    let stage = Stage::new();
    let witness = Witness::spawn("witness.example/w1", Kind::Ed25519);
    stage.introduce(&witness);
    let audit = with_witness(&witness);
    let backup = stage.site.path("backup");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        fs::create_dir(to).expect("made");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    };
    copy(&stage.site.state_dir(), &backup);
    for _ in 0..2 {
        let daemon = stage.start(&audit);
        said(&daemon, "witnessed", "cosigned");
        daemon.wait_pushed(1);
        daemon.stop();
    }
    fs::remove_dir_all(stage.site.state_dir()).expect("removed");
    copy(&backup, &stage.site.state_dir());
    fs::set_permissions(
        stage.site.state_dir(),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .expect("chmod");
    let daemon = stage.start(&audit);
    let line = said(&daemon, "not-witnessed", "restored backup");
    assert_eq!(line["level"], "error");
    daemon.wait_pushed(1);
    daemon.stop();
}

#[test]
fn a_rotated_ledger_is_cosigned_and_a_witness_that_forgot_is_reported() {
    let stage = Stage::new();
    // Until the file is worth a rotation.
    for _ in 0..2 {
        assert_eq!(stage.site.once().code, Some(0));
    }
    let (one, two) = (
        Witness::spawn("witness.example/w1", Kind::Ed25519),
        Witness::spawn("witness.example/w2", Kind::Ed25519),
    );
    stage.introduce(&one);
    stage.introduce(&two);
    let (origin, _) = stage.keys();
    let mut audit = json!({ "witnesses": [configured(&one), configured(&two)] });
    let daemon = stage.start(&audit);
    said(&daemon, "witnessed", "witness.example/w1");
    said(&daemon, "witnessed", "witness.example/w2");
    two.set_known(&origin, None);
    audit["rotate"] = json!({ "size": "16KiB" });
    stage.configure(&audit);
    daemon.signal(Signal::HUP);
    // At the next checkpoint.
    let requests = one.wait_for(|it| it.len() > 1, PATIENCE);
    assert_eq!(statuses(&requests[..2]), [Some(200), Some(200)]);
    assert_eq!(requests[1].old, requests[0].size);
    assert!(requests[1].proof > 0);
    said(&daemon, "witness-forgot", "witness.example/w2");
    let requests = two.requests();
    assert_eq!(statuses(&requests[..3]), [Some(200), Some(409), Some(200)]);
    daemon.stop();
    assert!(!stage.ledger.older().is_empty());
}

#[test]
fn a_witness_that_a_reload_brings_gets_the_newest_checkpoint() {
    let stage = Stage::new();
    let witness = Witness::spawn("witness.example/w1", Kind::Ed25519);
    stage.introduce(&witness);
    let daemon = stage.start(&json!({}));
    daemon.wait_pushed(1);
    stage.configure(&with_witness(&witness));
    daemon.signal(Signal::HUP);
    said(&daemon, "witnessed", "witness.example/w1");
    daemon.stop();
}
