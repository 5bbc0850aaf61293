//! Any text as a verifier key: it is refused, or printing it gives the same text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_ledger::key::VerifierKey;
use qseed_ledger::note::Signature;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let Ok(key) = text.parse::<VerifierKey>() else {
        return;
    };
    assert_eq!(key.to_string(), text);
    // A key that is no point of the curve, for example, verifies nothing and breaks nothing.
    for length in [0, 7, 8, 64, 72, 2428] {
        let signature = Signature::new(key.name().to_owned(), key.id(), vec![0; length]);
        let signature = signature.expect("the name is a key's");
        let checkpoint = "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
        let _ = key.verify(checkpoint, &signature);
    }
});
