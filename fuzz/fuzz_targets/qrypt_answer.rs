//! Answers of Qrypt's API and the QRNG Open API that carry entropy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_sources::answer::parse_entropy;

// The first two bytes are what was asked for, so that small answers can be good ones.
fuzz_target!(|input: &[u8]| {
    let [block_size, block_count, body @ ..] = input else {
        return;
    };
    let (block_size, block_count) = (u32::from(*block_size), u32::from(*block_count));
    match parse_entropy(body, block_size, block_count) {
        Ok(entropy) => assert_eq!(entropy.len() as u64, u64::from(block_size * block_count)),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
});
