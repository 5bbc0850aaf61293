//! Bytes of the kernel's generator.

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes of the kernel.
pub(crate) fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        // At worst it was interrupted: the kernel's generator has long been seeded.
        let more = getrandom(&mut bytes[filled..], GetRandomFlags::empty());
        filled += more.unwrap_or_default();
    }
    bytes
}

/// A number that nobody can foresee, for jitter and the keys of digests.
pub(crate) fn random_number() -> u64 {
    let bytes = random_bytes(8).try_into();
    u64::from_le_bytes(bytes.unwrap_or_default())
}
