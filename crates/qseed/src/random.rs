//! Numbers from the kernel's generator.

/// A number that nobody can foresee, for jitter and the keys of digests.
pub(crate) fn random_number() -> u64 {
    let mut bytes = [0; 8];
    // The kernel's generator does not fail once it is seeded, and it is by now.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_le_bytes(bytes)
}
