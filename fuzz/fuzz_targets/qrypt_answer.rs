//! Answers of Qrypt's API and the QRNG Open API that carry entropy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_model::Shape;
use qseed_sources::answer::parse_entropy;

// The first two bytes are what was asked for, so that small answers can be good ones.
fuzz_target!(|input: &[u8]| {
    let [block_size, block_count, body @ ..] = input else {
        return;
    };
    let shape = Shape {
        block_size: (*block_size).into(),
        block_count: (*block_count).into(),
    };
    match parse_entropy(body, shape) {
        Ok(entropy) => assert_eq!(entropy.len(), shape.bytes()),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
});
