//! Any text as a token's URI: it is refused with a place, or printing and reading it again gives
//! the same, without the PIN.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_model::uri::TokenUri;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let reading = TokenUri::read(&text);
    for error in &reading.faults {
        assert!(text.is_char_boundary(error.offset));
        assert!(!error.fault.to_string().is_empty());
    }
    assert!(reading.faults.is_sorted_by_key(|error| error.offset));
    if reading.faults.is_empty() {
        assert!(reading.tells_pin_and_module);
        let printed = reading.uri.to_string();
        let again = TokenUri::read(&printed);
        assert_eq!(again.faults, []);
        assert!(again.pin.is_none());
        assert_eq!(again.uri, reading.uri);
        assert_eq!(again.uri.to_string(), printed);
    }
});
