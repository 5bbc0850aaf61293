//! Any text as the proof of a record: it is refused, or printing it gives the same text; and it proves
//! no more than one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_ledger::proof::Proof;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let Ok(proof) = text.parse::<Proof>() else {
        return;
    };
    assert_eq!(proof.to_string(), text);
    let line = proof.line.as_deref().unwrap_or_default();
    if proof.check(line).is_ok() {
        let other = [line, b"!"].concat();
        assert!(proof.check(&other).is_err());
    }
});
