//! Delivery checks: what received entropy must pass before any of it can be injected.
//!
//! Modelled on the continuous tests of NIST SP 800-90B, section 4.4. Those are meant for raw noise
//! samples; a client sees conditioned output, so these catch stuck, truncated, zeroed, replayed
//! and text-instead-of-bytes answers, and say nothing about the quality of a healthy source.

mod counting;
mod seen;

use qseed_entropy::Entropy;

pub use qseed_model::Check;
pub use seen::SeenBefore;

use qseed_model::Shape;

use crate::ids::SourceId;
use counting::{AdaptiveProportion, RepetitionCount};

/// Answers up to this length, in bytes, are not judged as text.
const TEXT_EXEMPT: usize = 32;

/// Entropy that passed every check. Only [`Checks`] makes it, and only from it are seeds made.
#[derive(Debug)]
pub struct CheckedEntropy(Entropy);

impl CheckedEntropy {
    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Moves bytes out and wipes them here; see [`Entropy::move_out`].
    pub(crate) fn move_out(&mut self, offset: usize, into: &mut [u8]) {
        self.0.move_out(offset, into);
    }
}

/// The checks of one source. Their state runs on across its deliveries.
#[derive(Debug, Default)]
pub struct Checks {
    repetition: RepetitionCount,
    proportion: AdaptiveProportion,
}

impl Checks {
    /// Passes a delivery for a request of this `shape`, or drops it whole.
    ///
    /// # Errors
    /// The first check that it fails.
    pub fn examine(
        &mut self,
        delivery: Entropy,
        shape: Shape,
        source: SourceId,
        seen: &mut SeenBefore,
    ) -> Result<CheckedEntropy, Check> {
        let bytes = delivery.expose();
        if bytes.len() != shape.bytes() || bytes.is_empty() {
            return Err(Check::Length);
        }
        if bytes.len() > TEXT_EXEMPT && bytes.iter().all(|byte| is_text(*byte)) {
            return Err(Check::Text);
        }
        // Each test sees every delivery that came this far, so that its state stays that of the
        // stream whichever of them fails.
        let counts = self.count(bytes);
        let unseen = seen.examine(source, bytes, shape.block_size as usize);
        counts.and(unseen)?;
        Ok(CheckedEntropy(delivery))
    }

    /// The counting tests alone, which tell equal streams by their XOR, whatever their blocks are.
    pub(crate) fn count(&mut self, bytes: &[u8]) -> Result<(), Check> {
        let repetition = self.repetition.passes(bytes);
        let proportion = self.proportion.passes(bytes);
        match (repetition, proportion) {
            (false, _) => Err(Check::Repetition),
            (true, false) => Err(Check::Proportion),
            (true, true) => Ok(()),
        }
    }
}

/// The checks that a delivery of this shape passes, or fails: short ones are not judged as text, and
/// short blocks may repeat by chance.
pub(crate) fn applied_to(shape: Shape) -> Vec<Check> {
    let mut applied = vec![Check::Length];
    if shape.bytes() > TEXT_EXEMPT {
        applied.push(Check::Text);
    }
    applied.extend([Check::Repetition, Check::Proportion]);
    if shape.block_size as usize >= seen::BLOCK {
        applied.extend([Check::SeenBefore, Check::OtherSource]);
    }
    applied
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::{Check, Checks, SeenBefore, Shape, applied_to};
    use crate::ids::SourceId;
    use crate::random::Random;
    use qseed_entropy::Entropy;

    fn random_bytes(random: &mut Random, count: usize) -> Vec<u8> {
        (0..count).map(|_| random.next().to_le_bytes()[0]).collect()
    }

    fn one_block(bytes: usize) -> Shape {
        Shape {
            block_size: u32::try_from(bytes).expect("a few"),
            block_count: 1,
        }
    }

    struct Tested(Checks, SeenBefore);

    fn tested() -> Tested {
        Tested(Checks::default(), SeenBefore::new(1))
    }

    fn examine(Tested(checks, seen): &mut Tested, bytes: &[u8]) -> Result<usize, Check> {
        let (entropy, shape) = (Entropy::new(bytes.to_vec()), one_block(bytes.len()));
        checks
            .examine(entropy, shape, SourceId(0), seen)
            .map(|ok| ok.len())
    }

    #[test]
    fn good_bytes_pass() {
        let mut checks = tested();
        let mut random = Random::new(7);
        for _ in 0..2000 {
            assert_eq!(examine(&mut checks, &random_bytes(&mut random, 48)), Ok(48));
        }
    }

    #[test]
    fn a_wrong_length_fails() {
        let mut checks = tested();
        for (delivered, expected) in [(47, 48), (49, 48), (0, 0), (0, 48)] {
            let delivery = Entropy::new(random_bytes(&mut Random::new(1), delivered));
            assert_eq!(
                checks
                    .0
                    .examine(delivery, one_block(expected), SourceId(0), &mut checks.1)
                    .err(),
                Some(Check::Length)
            );
        }
    }

    #[test]
    fn zeroes_and_a_stuck_byte_fail() {
        assert_eq!(examine(&mut tested(), &[0; 48]), Err(Check::Repetition));
        assert_eq!(examine(&mut tested(), &[0xa5; 6]), Err(Check::Repetition));
        assert_eq!(examine(&mut tested(), &[0xa5; 5]), Ok(5));
    }

    #[test]
    fn a_run_across_two_deliveries_fails() {
        let mut checks = tested();
        assert_eq!(examine(&mut checks, &[9, 7, 7, 7]), Ok(4));
        assert_eq!(examine(&mut checks, &[7, 7, 7, 9]), Err(Check::Repetition));
    }

    #[test]
    fn a_replayed_delivery_fails() {
        let mut checks = tested();
        let bytes = random_bytes(&mut Random::new(3), 48);
        assert_eq!(examine(&mut checks, &bytes), Ok(48));
        assert_eq!(examine(&mut checks, &bytes), Err(Check::SeenBefore));
    }

    #[test]
    fn text_fails_from_33_bytes_on() {
        let text = b"Too many requests; please try again later.";
        assert_eq!(examine(&mut tested(), text), Err(Check::Text));
        assert_eq!(examine(&mut tested(), &text[..33]), Err(Check::Text));
        assert_eq!(examine(&mut tested(), &text[..32]), Ok(32));
    }

    #[test]
    fn a_check_that_does_not_apply_is_not_passed() {
        let applied = |block_size, block_count| {
            applied_to(Shape {
                block_size,
                block_count,
            })
        };
        let all = applied(16, 3);
        let by_adapters = [Check::Form, Check::Base64];
        let others = Check::ALL.iter().filter(|it| !by_adapters.contains(it));
        assert_eq!(all, others.copied().collect::<Vec<_>>());
        assert!(!applied(16, 2).contains(&Check::Text), "32 bytes");
        assert!(!applied(15, 10).contains(&Check::SeenBefore));
        assert!(!applied(15, 10).contains(&Check::OtherSource));
    }

    #[test]
    fn a_biased_source_fails_within_a_window() {
        let mut checks = tested();
        let mut random = Random::new(5);
        let biased: Vec<u8> = (0..4096)
            .map(|_| (random.next() & 0x0f) as u8 | 0x80)
            .collect();
        assert_eq!(examine(&mut checks, &biased), Err(Check::Proportion));
    }
}
