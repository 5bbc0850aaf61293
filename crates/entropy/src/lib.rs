//! Types that carry entropy from a source to a token.
//!
//! Both types own their bytes, wipe them when dropped, cannot be cloned and show nothing but
//! their length when printed. [`Entropy`] is what a source delivered; [`Seed`] is what one call of
//! `C_SeedRandom` mixes into a token. Each is consumed by value, so a byte that went into one
//! seed cannot go into a second one.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes that a source delivered, not yet allotted to a seed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Entropy {
    bytes: Vec<u8>,
}

impl Entropy {
    /// Takes over `bytes`, which must be nothing but what a source delivered.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was delivered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, for the delivery checks.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// Copies `into.len()` bytes that start at `offset` into `into` and wipes them here, so that
    /// they exist once.
    ///
    /// # Panics
    /// If fewer than `into.len()` bytes lie behind `offset`.
    pub fn move_out(&mut self, offset: usize, into: &mut [u8]) {
        let taken = &mut self.bytes[offset..offset + into.len()];
        into.copy_from_slice(taken);
        taken.zeroize();
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entropy({} bytes)", self.bytes.len())
    }
}

/// The bytes of one injection. Injecting consumes it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Seed {
    bytes: Vec<u8>,
}

impl Seed {
    /// Takes over `bytes`, which must come from checked entropy alone.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, for the one call that injects them or hands them to the process that does.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// XORs `other` in, byte by byte, and consumes it.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn xor(&mut self, other: Seed) {
        assert_eq!(self.len(), other.len(), "only seeds of one length combine");
        for (byte, with) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte ^= with;
        }
        drop(other);
    }

    /// Gives the bytes up, still wiped on drop, to whoever spends them.
    #[must_use]
    pub fn into_bytes(mut self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(std::mem::take(&mut self.bytes))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Entropy, Seed};

    #[test]
    fn moved_bytes_are_wiped_where_they_were() {
        let mut entropy = Entropy::new(vec![1, 2, 3, 4]);
        let mut taken = [0; 2];
        entropy.move_out(1, &mut taken);
        assert_eq!(taken, [2, 3]);
        assert_eq!(entropy.expose(), [1, 0, 0, 4]);
    }

    #[test]
    fn xor_combines_byte_by_byte() {
        let mut seed = Seed::new(vec![0b1100, 0xff]);
        seed.xor(Seed::new(vec![0b1010, 0x0f]));
        assert_eq!(seed.expose(), [0b0110, 0xf0]);
    }

    #[test]
    fn printing_shows_no_content() {
        assert_eq!(
            format!("{:?}", Entropy::new(vec![65; 3])),
            "Entropy(3 bytes)"
        );
        assert_eq!(format!("{:?}", Seed::new(vec![65; 3])), "Seed(3 bytes)");
    }
}
