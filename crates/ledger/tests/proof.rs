//! Proofs of single records in files of their own.

use qseed_ledger::Error;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::{SigningKey, signers};
use qseed_ledger::proof::Proof;
use qseed_ledger::tree::{Frontier, Leaves, leaf_hash};

const ORIGIN: &str = "hsm.example/qseed/0123456789abcdef";

fn key() -> SigningKey {
    SigningKey::new(&[7; 32], ORIGIN).expect("valid")
}

fn line(index: u64) -> Vec<u8> {
    format!("{{\"seq\":{index}}}").into_bytes()
}

/// The proof of a record in a ledger of `size` records.
fn proof(index: u64, size: u64) -> Proof {
    let mut leaves = Leaves::new(&Frontier::new());
    for index in 0..size {
        leaves.append(leaf_hash(&line(index)));
    }
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: leaves.root(size).expect("valid"),
    };
    Proof {
        line: Some(line(index)),
        index,
        hashes: leaves.inclusion(index, size).expect("valid"),
        note: key().sign(&checkpoint, Some(5)).expect("valid"),
    }
}

#[test]
fn a_proof_survives_writing_and_reading_and_holds() {
    for size in 1..20 {
        for index in 0..size {
            let proof = proof(index, size);
            let read: Proof = proof.to_string().parse().expect("valid");
            assert_eq!(read, proof);
            let line = read.line.as_ref().expect("a line");
            let checkpoint = read.check(line).expect("valid");
            assert_eq!((checkpoint.size, &*checkpoint.origin), (size, ORIGIN));
            let key = key();
            let signers = signers(&read.note, key.verifier_keys()).expect("signed");
            assert_eq!(signers.len(), 2);
        }
    }
}

#[test]
fn a_proof_is_written_as_the_specification_says() {
    let text = proof(1, 3).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        ["c2sp.org/tlog-proof@v1", "extra eyJzZXEiOjF9", "index 1"]
    );
    assert_eq!(lines[5..8], ["", ORIGIN, "3"]);
}

#[test]
fn a_proof_holds_for_its_record_alone() {
    let valid = proof(5, 11);
    let no = |proof: &Proof, line: &[u8]| {
        let index = proof.index;
        assert_eq!(proof.check(line), Err(Error::NotIncluded { index }));
    };
    no(&valid, &line(4));
    no(
        &Proof {
            index: 4,
            ..valid.clone()
        },
        &line(5),
    );
    no(
        &Proof {
            hashes: valid.hashes[1..].to_vec(),
            ..valid.clone()
        },
        &line(5),
    );
    no(
        &Proof {
            note: proof(5, 12).note,
            ..valid.clone()
        },
        &line(5),
    );
    let no_checkpoint =
        qseed_ledger::note::Note::new("a\n".to_owned(), valid.note.signatures().to_vec());
    let no_checkpoint = Proof {
        note: no_checkpoint.expect("a note"),
        ..valid
    };
    assert!(matches!(
        no_checkpoint.check(&line(5)),
        Err(Error::Checkpoint(_))
    ));
}

#[test]
fn what_is_no_proof_is_refused() {
    let valid = proof(1, 3).to_string();
    let hash = valid.lines().nth(3).expect("a hash").to_owned();
    let cases = [
        String::new(),
        valid.replace("@v1", "@v2"),
        valid.replace("extra ", "extras "),
        valid.replace("extra ey", "extra !!"),
        valid.replace("index 1", "index 01"),
        valid.replace("index 1", "index -1"),
        valid.replace("index 1\n", ""),
        valid.replace(&hash, &hash[4..]),
        valid.replace(&hash, &format!("{hash}\n").repeat(66)),
        valid.replace("\n\n", "\n"),
        valid.replace("\u{2014}", "-"),
        format!("\n{valid}"),
        valid.trim_end().to_owned(),
    ];
    for case in cases {
        assert!(case.parse::<Proof>().is_err(), "{case}");
    }
    let without_line: Proof = valid
        .replace("extra eyJzZXEiOjF9\n", "")
        .parse()
        .expect("valid");
    assert_eq!(without_line.line, None);
    assert!(without_line.check(&line(1)).is_ok());
}
