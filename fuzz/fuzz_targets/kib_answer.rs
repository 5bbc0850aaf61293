//! Answers of Qrypt's older API.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_model::Shape;
use qseed_sources::answer::parse_random;

// The first byte is the number of KiB that was asked for.
fuzz_target!(|input: &[u8]| {
    let [kib, body @ ..] = input else { return };
    let kib = u32::from(*kib);
    let shape = Shape {
        block_size: 1024,
        block_count: kib,
    };
    match parse_random(body, shape) {
        Ok(entropy) => assert_eq!(entropy.len() as u64, u64::from(kib) * 1024),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
});
