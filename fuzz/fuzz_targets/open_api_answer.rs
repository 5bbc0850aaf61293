//! Answers in which a service of the QRNG Open API tells of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_sources::answer::{parse_capabilities, parse_healthtest};

fuzz_target!(|body: &[u8]| {
    if let Ok(told) = parse_capabilities(body) {
        let (size, count) = (told.limits.block_size, told.limits.block_count);
        assert!(1 <= *size.start() && size.start() <= size.end() && *size.end() <= 1024);
        assert!(1 <= *count.start() && count.start() <= count.end() && *count.end() <= 512);
    }
    for test in parse_healthtest(body).unwrap_or_default() {
        let shown = [Some(test.name), Some(test.result), test.time];
        assert!(
            shown
                .iter()
                .flatten()
                .all(|word| !word.contains(char::is_control))
        );
    }
});
