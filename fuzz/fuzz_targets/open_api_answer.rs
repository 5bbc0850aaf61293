//! Answers in which a service of the QRNG Open API tells of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_sources::answer::{parse_capabilities, parse_healthtest};

fuzz_target!(|body: &[u8]| {
    if let Ok(told) = parse_capabilities(body) {
        let limits = told.limits;
        assert!(1 <= limits.min_size && limits.min_size <= limits.max_size);
        assert!(1 <= limits.min_count && limits.min_count <= limits.max_count);
        assert!(limits.max_size <= 1024 && limits.max_count <= 512);
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
