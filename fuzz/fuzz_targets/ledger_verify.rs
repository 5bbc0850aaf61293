//! Any bytes as a ledger, an export or a proof, files divided by zero bytes: whatever holds, with the
//! key and the newest checkpoint of one ledger, has no other records than that ledger. And the way in
//! which a file is read in pieces makes no difference.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use qseed_ledger::export::Entry;
use qseed_ledger::key::SigningKey;
use qseed_ledger::proof::Proof;
use qseed_ledger::record::{Body, Record};
use qseed_ledger::verify::{Given, Report, Verdict, Verifier};

/// The true ledger.
const LEDGER: &[u8] = include_bytes!("../corpus/ledger_verify/two_files");

struct Truth {
    lines: Vec<&'static [u8]>,
    /// The records that the newest checkpoint covers.
    covered: usize,
    given: Given,
}

static TRUTH: LazyLock<Truth> = LazyLock::new(|| {
    let lines = lines(LEDGER);
    let last = lines.last().expect("a record");
    let Ok(Body::Checkpoint(newest)) = Record::parse(last).map(|record| record.body) else {
        panic!("the ledger ends with a checkpoint");
    };
    let key = SigningKey::new(&[7; 32], "hsm-gw-1/qseed/0123456789abcdef").expect("keys");
    Truth {
        lines,
        covered: usize::try_from(newest.size).expect("a small ledger"),
        given: Given {
            keys: key.verifier_keys().to_vec(),
            witnesses: vec![],
            checkpoints: vec![("newest".to_owned(), newest.note)],
        },
    }
});

fn files(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0)
}

/// The whole lines of all files.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let lines = files(bytes).flat_map(|file| file.split_inclusive(|byte| *byte == b'\n'));
    lines.filter_map(|line| line.strip_suffix(b"\n")).collect()
}

fn verify(bytes: &[u8], piece: usize) -> Report {
    let mut verifier = Verifier::new(TRUTH.given.clone());
    for file in files(bytes) {
        verifier.file("file");
        file.chunks(piece).for_each(|piece| verifier.feed(piece));
    }
    verifier.finish()
}

fuzz_target!(|bytes: &[u8]| {
    let report = verify(bytes, usize::MAX);
    let in_pieces = verify(bytes, 1 + bytes.len() % 61);
    assert_eq!(format!("{report:?}"), format!("{in_pieces:?}"));
    if report.verdict() != Verdict::Holds {
        return;
    }
    let Truth {
        lines: truth,
        covered,
        ..
    } = &*TRUTH;
    let is_true = |index: u64, line: &[u8]| {
        let index = usize::try_from(index).expect("a small number");
        assert_eq!(truth[index], line);
    };
    let all = lines(bytes);
    if bytes.starts_with(b"c2sp.org/tlog-proof") {
        let text = String::from_utf8_lossy(bytes);
        let proof: Proof = text
            .trim_end()
            .parse()
            .or_else(|_| text.parse())
            .expect("it holds");
        is_true(proof.index, proof.line.as_deref().expect("it holds"));
    } else if bytes.starts_with(b"{\"format\":") {
        for entry in all
            .iter()
            .skip(1)
            .filter_map(|line| Entry::parse(line).ok())
        {
            is_true(entry.index, entry.line.as_bytes());
        }
    } else {
        let first = usize::try_from(report.first).expect("a small number");
        assert_eq!(all[..covered - first], truth[first..*covered]);
    }
});
