//! Any text as a token's URI: it is refused with a place, or printing and reading it again gives
//! the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_tokens::uri::TokenUri;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<TokenUri>() {
        Ok(uri) => {
            let printed = uri.to_string();
            let again: TokenUri = printed.parse().expect("what was printed can be read");
            assert_eq!(again.to_string(), printed);
            assert_eq!(again, uri);
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.offset));
            assert!(!error.to_string().is_empty());
        }
    }
});
