//! The files of a set: rotated, pruned, packed, of other origins.

use std::collections::BTreeMap;
use std::fs;

use qseed_ledger::record::{Began, Body, Chain, Previous};

use super::maker::Maker;
use super::{Ledger, ORIGIN, SECRET};

#[test]
fn packed_files_are_read_like_others() {
    let ledger = Ledger::new();
    ledger.pack(&ledger.name(0));
    ledger.pack(&ledger.name(1));
    let packed = format!("{}.gz", ledger.name(0));
    for file in ["audit.jsonl", &packed] {
        let ran = ledger.audit(&["verify", file, "--key", "keys"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains(" in 3 files: 120 seeds"), "{ran:?}");
    }
    let ran = ledger.audit(&["proof", "5", "--file", "audit.jsonl"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // One that was packed and kept counts once.
    let plain = ledger.made.files[0].1.join("\n") + "\n";
    ledger.bench.write(&ledger.name(0), &plain);
    assert_eq!(ledger.verify(&[]).code, 0);
}

#[test]
fn a_packed_file_that_is_damaged_is_a_change() {
    for cut in [true, false] {
        let ledger = Ledger::new();
        ledger.pack(&ledger.name(1));
        let path = ledger.path(&format!("{}.gz", ledger.name(1)));
        let mut bytes = fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        if cut {
            bytes.truncate(middle);
        } else {
            bytes[middle] ^= 0xff;
        }
        fs::write(&path, bytes).expect("written");
        let ran = ledger.verify(&[]);
        assert_eq!(ran.code, 65, "{ran:?}");
        assert!(ran.out.contains(".jsonl.gz: "), "{ran:?}");
        for words in [
            &["show", "audit.jsonl"][..],
            &["export", "--file", "audit.jsonl"],
        ] {
            let ran = ledger.audit(words);
            assert_eq!(ran.code, 65, "{words:?}: {ran:?}");
        }
    }
}

#[test]
fn what_is_left_of_a_pruned_ledger_holds() {
    let ledger = Ledger::new();
    let first = ledger.made.files[0].1.len();
    fs::remove_file(ledger.path(&ledger.name(0))).expect("removed");
    let ran = ledger.verify(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out
            .contains(&format!("the first {first} records are not here")),
        "{ran:?}"
    );
    // Proofs of what is left lead to the same root.
    let seq = (first + 3).to_string();
    let ran = ledger.audit(&["proof", &seq, "--file", "audit.jsonl"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = ledger.audit(&["proof", "3", "--file", "audit.jsonl"]);
    assert_eq!(ran.code, 64, "{ran:?}");
    assert!(ran.err.contains("pruned"), "{ran:?}");
    let ran = ledger.audit(&["export", "--tiles", "tiles", "--file", "audit.jsonl"]);
    assert_eq!(ran.code, 64, "{ran:?}");
    assert!(!ledger.bench.path("tiles").exists());
    // What only pruned records could show is not claimed.
    ledger.bench.write("kept", &ledger.made.notes[0]);
    let ran = ledger.verify(&["--checkpoint", "kept"]);
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(ran.out.contains("kept: "), "{ran:?}");
}

#[test]
fn a_new_origin_beside_an_old_one_is_a_set_of_its_own() {
    let ledger = Ledger::new();
    let last = ledger.made.files.len() - 1;
    let first = ledger.made.files[last]
        .0
        .strip_prefix("audit-")
        .expect("a number");
    let aside = format!("audit-01234567-{first}");
    fs::rename(ledger.path("audit.jsonl"), ledger.path(&aside)).expect("set aside");
    let mut new = Maker::new(&SECRET, "hsm-gw-1/qseed/fedcba0123456789");
    new.checkpoint(true);
    ledger
        .bench
        .write("audit.jsonl", &(new.files[0].1.join("\n") + "\n"));
    ledger.bench.write("audit.checkpoint", &new.note());
    ledger.bench.write("new-keys", &new.vkeys().join("\n"));
    let ran = ledger.audit(&["verify", &aside, "--key", "keys"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains(ORIGIN) && ran.out.contains(" in 3 files"),
        "{ran:?}"
    );
    let ran = ledger.audit(&["verify", "audit.jsonl", "--key", "new-keys"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(" in 1 file"), "{ran:?}");
}

#[test]
fn a_new_ledger_names_the_one_before_and_is_not_held_to_its_checkpoint() {
    let old = Ledger::new();
    let ledger = Ledger::of(after(&old.made));
    let ran = ledger.verify(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(&format!("follows {ORIGIN}")), "{ran:?}");
    // Until the new one is signed, the old one's checkpoint stands beside it.
    ledger.bench.write("audit.checkpoint", &old.made.note());
    assert_eq!(ledger.verify(&[]).code, 0);
}

/// A ledger that begins because another one could not be continued.
fn after(old: &Maker) -> Maker {
    let mut new = Maker::new(&SECRET, "hsm-gw-1/qseed/fedcba0123456789");
    new.chain = Chain::new();
    new.lines().clear();
    let began = Began {
        origin: new.key.origin().to_owned(),
        keys: new.vkeys(),
        version: "0.1.0".to_owned(),
        hardening: BTreeMap::new(),
        because: "the file was cut".to_owned(),
        previous: Some(Previous {
            origin: old.key.origin().to_owned(),
            size: old.chain.seq(),
            root: old.chain.frontier().root(),
        }),
    };
    new.record(Body::Began(began));
    new.checkpoint(true);
    new
}
