//! Tools that are not ours accept the ledger that a real run wrote: OpenSSL, and `aics-tlog`.

use std::fs;
use std::path::Path;
use std::process::Command;

use qseed_ledger::record::{Body, Record};
use qseed_log_client::{check, openssl_accepts};
use serde_json::json;

use crate::support::daemon::QSEED;
use crate::support::faulty::Faulty;
use crate::support::service;
use crate::support::site::Site;

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, content).expect("written");
}

#[test]
fn openssl_and_a_log_client_of_others_accept_what_a_run_wrote() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.slots = 3);
    let partitions = [0, 1, 2].map(|number| faulty.partition(&format!("p{number}"), number));
    let mut config = site.full(&service, &json!(partitions));
    config["audit"] = json!({ "mode": "required" });
    site.configure_full(&config);
    let qseed = site.start();
    for token in 0..3 {
        faulty.wait_seeds(token, 3);
    }
    qseed.stop();

    let read = |name: &str| fs::read_to_string(site.state_dir().join(name)).expect("it is there");
    let lines = read("audit.jsonl");
    let records = lines.lines().map(|line| Record::parse(line.as_bytes()));
    let records: Vec<Record> = records.map(|record| record.expect("a record")).collect();
    let Body::Began(began) = &records[0].body else {
        panic!("{:?}", records[0]);
    };
    let newest = read("audit.checkpoint");
    assert!(openssl_accepts(&began.keys[0], &newest), "{newest}");

    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "lines", &lines);
    write(folder.path(), "vkeys", &began.keys.join("\n"));
    write(folder.path(), "checkpoints/newest", &newest);
    let mut notes = 1;
    for record in &records {
        if let Body::Checkpoint(checkpoint) = &record.body {
            let name = format!("checkpoints/{}", record.seq);
            write(folder.path(), &name, &checkpoint.note);
            notes += 1;
        }
    }
    let file = site.state_dir().join("audit.jsonl");
    let audit = |arguments: &[&str]| {
        let mut qseed = Command::new(QSEED);
        qseed.arg("audit").args(arguments).arg("--file").arg(&file);
        let output = qseed.current_dir(folder.path()).output();
        let output = output.expect("qseed is there");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    audit(&["export", "--tiles", "tiles"]);
    let seeds = records
        .iter()
        .filter(|record| matches!(record.body, Body::Seed(_)));
    let seeds: Vec<u64> = seeds.map(|record| record.seq).collect();
    for seq in &seeds {
        let proof = audit(&["proof", &seq.to_string()]);
        write(folder.path(), &format!("proofs/{seq}.tlog-proof"), &proof);
    }
    let report = check(folder.path()).unwrap_or_else(|why| panic!("{why}"));
    // At the start and at the end, and the end's once more as the newest.
    assert_eq!((notes, report.checkpoints.len()), (3, 3));
    assert_eq!((report.strong, report.proofs), (3, seeds.len()));
    assert_eq!(report.tiles, 2, "one of hashes, one of entries");
    assert!(seeds.len() >= 9);
}
