//! What a witness answers: nothing crashes, and what is taken for its signature is one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::{SigningKey, VerifierKey};
use qseed_ledger::note::Note;
use qseed_ledger::witness::{cosignature, known_size};

/// A checkpoint, and the ML-DSA-44 key of a witness that is called as its log is.
static WITNESS: LazyLock<(Note, VerifierKey)> = LazyLock::new(|| {
    let key = SigningKey::new(&[7; 32], "witness.example/w1").expect("a name");
    let checkpoint = Checkpoint {
        origin: "witness.example/w1".to_owned(),
        size: 4711,
        root: [9; 32],
    };
    let note = key.sign(&checkpoint, None).expect("signed");
    let [_, cosigns] = key.verifier_keys().clone();
    (note, cosigns)
});

fuzz_target!(|answer: &[u8]| {
    let (note, key) = &*WITNESS;
    if let Ok(size) = known_size(answer) {
        assert_eq!(answer, format!("{size}\n").as_bytes());
    }
    if let Ok((signature, time)) = cosignature(answer, note, key) {
        assert!(time > 0);
        assert_eq!(key.verify(note.text(), &signature), Ok(Some(time)));
        let mut cosigned = note.clone();
        cosigned.add(signature).expect("few signatures");
        let text = cosigned.to_string();
        assert_eq!(text.parse(), Ok(cosigned), "{text}");
    }
});
