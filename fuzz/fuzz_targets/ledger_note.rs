//! Any text as a signed note: it is refused, or printing it gives the same text; and no signature of it
//! is taken for one of a key that did not sign it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::{SigningKey, VerifierKey, signers};
use qseed_ledger::note::Note;

/// The keys of the corpus' notes, whose signatures are true where the text is theirs.
const SECRET: [u8; 32] = {
    let mut secret = [0; 32];
    let mut at = 0;
    while at < 32 {
        secret[at as usize] = at;
        at += 1;
    }
    secret
};
const ORIGIN: &str = "hsm-gw-1.example/qseed/0123456789abcdef";

std::thread_local! {
    static KEYS: [VerifierKey; 2] = SigningKey::new(&SECRET, ORIGIN)
        .expect("a key")
        .verifier_keys()
        .clone();
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let Ok(note) = text.parse::<Note>() else {
        return;
    };
    assert_eq!(note.to_string(), text);
    KEYS.with(|keys| {
        if signers(&note, keys).is_ok() {
            // What was signed are the two checkpoints of the corpus.
            let checkpoint: Checkpoint = note.text().parse().expect("a checkpoint");
            assert!([5, 11].contains(&checkpoint.size));
        }
    });
    if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), note.text());
    }
});
