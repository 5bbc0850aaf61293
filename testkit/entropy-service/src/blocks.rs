//! The entropy of one answer, good or spoiled.

use std::fmt;
use std::ops::Deref;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Serialize, Serializer};

use crate::api::Ask;
use crate::fault::Fault;

/// The blocks of one answer, decoded. Test data; still it prints as its shape only, and as content
/// where [`hex`](Self::hex) is asked for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blocks(Vec<Vec<u8>>);

/// What [`Fault::Biased`] makes bytes into.
const BIAS: u8 = 0xA5;

impl Blocks {
    /// What is asked for, from the kernel.
    pub(crate) fn draw(ask: Ask) -> Self {
        let size = ask.block_size as usize;
        let bytes = kernel_bytes(size * ask.block_count as usize);
        Self(bytes.chunks(size).map(<[u8]>::to_vec).collect())
    }

    /// What is asked for, with the share of `fault` that concerns counts and content.
    pub(crate) fn draw_spoiled(ask: Ask, fault: Option<&Fault>) -> Self {
        let mut blocks = Self::draw(ask);
        match fault {
            Some(Fault::NoBlocks) => blocks.0.clear(),
            Some(Fault::TooFewBlocks) => {
                blocks.0.pop();
            }
            Some(Fault::TooManyBlocks) => blocks.0.push(kernel_bytes(ask.block_size as usize)),
            Some(Fault::ShortBlock) => {
                blocks.last().pop();
            }
            Some(Fault::LongBlock) => blocks.last().append(&mut kernel_bytes(1)),
            Some(Fault::AllZero) => blocks.each_byte(|_| 0),
            Some(Fault::Text) => blocks.each_byte(|byte| b' ' + byte % 95),
            Some(Fault::Biased(percent)) => blocks.bias(*percent),
            Some(Fault::RepeatedBlock) => blocks.repeat(),
            _ => {}
        }
        blocks
    }

    /// Other bytes in the same shape.
    pub(crate) fn redrawn(&self) -> Self {
        Self(
            self.0
                .iter()
                .map(|block| kernel_bytes(block.len()))
                .collect(),
        )
    }

    fn last(&mut self) -> &mut Vec<u8> {
        self.0.last_mut().expect("an ask is for one block at least")
    }

    fn each_byte(&mut self, change: impl Fn(u8) -> u8) {
        self.0
            .iter_mut()
            .flatten()
            .for_each(|byte| *byte = change(*byte));
    }

    fn bias(&mut self, percent: u8) {
        let total = self.total();
        let dice = kernel_bytes(total * 2);
        let dice = dice
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        for (byte, die) in self.0.iter_mut().flatten().zip(dice) {
            if u32::from(die) * 100 < u32::from(percent) << 16 {
                *byte = BIAS;
            }
        }
    }

    fn repeat(&mut self) {
        if self.0.len() > 1 {
            *self.last() = self.0[0].clone();
        } else if self.0[0].len() >= 32 {
            self.0[0].copy_within(..16, 16);
        }
    }

    /// The first block, for changes to its encoding.
    pub(crate) fn first_mut(&mut self) -> Option<&mut Vec<u8>> {
        self.0.first_mut()
    }

    /// The number of bytes in all blocks.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// All blocks one after the other, as a client should have them.
    #[must_use]
    pub fn joined(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Each block in lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> Vec<String> {
        self.0.iter().map(|block| hex(block)).collect()
    }
}

impl Deref for Blocks {
    type Target = [Vec<u8>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks({} bytes in {})", self.total(), self.0.len())
    }
}

impl Serialize for Blocks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.hex().serialize(serializer)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Bytes from getrandom(2).
pub(crate) fn kernel_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        // It may stop early only at a signal.
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("getrandom cannot fail once the kernel has booted: {error}"),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{BIAS, Blocks};
    use crate::api::Ask;
    use crate::fault::Fault;

    const ASK: Ask = Ask {
        block_size: 48,
        block_count: 4,
    };

    fn shape(fault: &Fault) -> Vec<usize> {
        Blocks::draw_spoiled(ASK, Some(fault))
            .iter()
            .map(Vec::len)
            .collect()
    }

    #[test]
    fn counts_are_spoiled_as_named() {
        assert_eq!(
            shape(&Fault::Hang),
            [48; 4],
            "other faults leave the blocks alone"
        );
        assert_eq!(shape(&Fault::NoBlocks), [0; 0]);
        assert_eq!(shape(&Fault::TooFewBlocks), [48; 3]);
        assert_eq!(shape(&Fault::TooManyBlocks), [48; 5]);
        assert_eq!(shape(&Fault::ShortBlock), [48, 48, 48, 47]);
        assert_eq!(shape(&Fault::LongBlock), [48, 48, 48, 49]);
    }

    #[test]
    fn content_is_spoiled_as_named() {
        let spoiled = |fault| Blocks::draw_spoiled(ASK, Some(&fault));
        assert_eq!(spoiled(Fault::AllZero).joined(), [0; 192]);
        assert_eq!(spoiled(Fault::Biased(100)).joined(), [BIAS; 192]);
        let text = spoiled(Fault::Text).joined();
        assert!(text.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let repeated = spoiled(Fault::RepeatedBlock);
        assert_eq!(repeated[0], repeated[3]);
        assert_ne!(repeated[0], repeated[1]);
    }

    #[test]
    fn the_bias_is_about_the_share_asked_for() {
        let ask = Ask {
            block_size: 1024,
            block_count: 64,
        };
        let biased = Blocks::draw_spoiled(ask, Some(&Fault::Biased(25)));
        let hits = biased
            .iter()
            .flatten()
            .filter(|byte| **byte == BIAS)
            .count();
        // 16,640 expected (a quarter and 1/256 of the rest); 110 is one standard deviation.
        assert!((15_500..17_700).contains(&hits), "{hits}");
    }

    #[test]
    fn a_single_block_repeats_within_itself() {
        let ask = Ask {
            block_size: 32,
            block_count: 1,
        };
        let repeated = Blocks::draw_spoiled(ask, Some(&Fault::RepeatedBlock));
        assert_eq!(repeated[0][..16], repeated[0][16..]);
    }

    #[test]
    fn two_draws_differ_and_print_no_content() {
        let (one, other) = (Blocks::draw(ASK), Blocks::draw(ASK));
        assert_ne!(one, other);
        assert_eq!(format!("{one:?}"), "Blocks(192 bytes in 4)");
        assert_eq!(one.hex()[0].len(), 96);
    }
}
