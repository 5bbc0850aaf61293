//! The shape of a request: exact amounts in as few requests as the interface allows.

use std::ops::RangeInclusive;

use qseed_model::{Limits, Shape};

/// The first request towards `bytes` in all, where each seed takes `seed` bytes (`None`: seeds of
/// several sizes).
///
/// One block a seed where all fit into one request. Otherwise a single request for exactly `bytes`
/// where the number can be split into blocks, preferring long ones; otherwise the most that whole
/// blocks can carry, and a second request brings the rest. Where the interface asks for more than
/// is needed, the smallest request that covers it: what is left over serves the next seeds.
pub(crate) fn towards(bytes: usize, seed: Option<usize>, limits: Limits) -> Shape {
    Blocks::new(
        limits.min_size..=limits.max_size,
        limits.min_count..=limits.max_count,
    )
    .towards(bytes, seed)
}

/// What may be asked for in blocks.
struct Blocks {
    sizes: RangeInclusive<u32>,
    counts: RangeInclusive<u32>,
}

impl Blocks {
    /// Limits that nothing satisfies are widened until something does.
    fn new(sizes: RangeInclusive<u32>, counts: RangeInclusive<u32>) -> Self {
        let possible = |range: RangeInclusive<u32>| {
            let most = (*range.end()).max(1);
            (*range.start()).clamp(1, most)..=most
        };
        Self {
            sizes: possible(sizes),
            counts: possible(counts),
        }
    }

    fn towards(&self, bytes: usize, seed: Option<usize>) -> Shape {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        let block_a_seed = seed
            .and_then(|seed| u32::try_from(seed).ok())
            .and_then(|seed| self.exactly(bytes, seed));
        block_a_seed
            .or_else(|| self.at_once(bytes))
            .or_else(|| self.in_two(bytes))
            .or_else(|| self.covering(bytes))
            .unwrap_or(Shape {
                block_size: *self.sizes.end(),
                block_count: *self.counts.end(),
            })
    }

    /// Exactly `bytes` in blocks of this size.
    fn exactly(&self, bytes: u32, block_size: u32) -> Option<Shape> {
        let fits = self.sizes.contains(&block_size)
            && bytes.is_multiple_of(block_size)
            && self.counts.contains(&(bytes / block_size));
        fits.then(|| Shape {
            block_size,
            block_count: bytes / block_size,
        })
    }

    /// Exactly `bytes` in one request, in the longest blocks.
    fn at_once(&self, bytes: u32) -> Option<Shape> {
        let longest = bytes.min(*self.sizes.end());
        (*self.sizes.start()..=longest)
            .rev()
            .find_map(|size| self.exactly(bytes, size))
    }

    /// The most that the longest blocks carry, where a second request can bring the rest exactly.
    fn in_two(&self, bytes: u32) -> Option<Shape> {
        let block_size = *self.sizes.end();
        let first = Shape {
            block_size,
            block_count: bytes / block_size,
        };
        let rest = bytes % block_size;
        let possible = self.counts.contains(&first.block_count) && self.at_once(rest).is_some();
        possible.then_some(first)
    }

    /// The least that covers `bytes` in one request, where one can.
    fn covering(&self, bytes: u32) -> Option<Shape> {
        let shape = |block_size| Shape {
            block_size,
            block_count: bytes.div_ceil(block_size).max(*self.counts.start()),
        };
        self.sizes
            .clone()
            .rev()
            .map(shape)
            .filter(|shape| self.counts.contains(&shape.block_count))
            .min_by_key(|shape| shape.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Shape, towards};

    /// Up to 512 blocks of up to 1,024 bytes.
    const USUAL: Limits = Limits {
        min_size: 1,
        max_size: 1024,
        min_count: 1,
        max_count: 512,
    };

    /// The requests that bring `bytes` bytes for one seed of that size.
    fn plan(bytes: usize) -> Vec<(u32, u32)> {
        let mut left = bytes;
        let mut requests = Vec::new();
        while left > 0 {
            let shape = towards(left, Some(bytes), USUAL);
            requests.push((shape.block_size, shape.block_count));
            assert!(shape.block_size <= 1024 && shape.block_count <= 512);
            left -= shape.bytes();
        }
        requests
    }

    #[test]
    fn usual_sizes_take_one_request() {
        assert_eq!(plan(1), [(1, 1)]);
        assert_eq!(plan(48), [(48, 1)]);
        assert_eq!(plan(513), [(513, 1)]);
        assert_eq!(plan(1024), [(1024, 1)]);
        assert_eq!(plan(1025), [(205, 5)]);
        assert_eq!(plan(4096), [(1024, 4)]);
        assert_eq!(plan(65_536), [(1024, 64)]);
    }

    #[test]
    fn a_prime_takes_two() {
        assert_eq!(plan(1031), [(1024, 1), (7, 1)]);
    }

    #[test]
    fn any_size_is_exact_in_at_most_two_requests() {
        for bytes in 1..=65_536 {
            assert!(plan(bytes).len() <= 2, "{bytes}");
        }
    }

    #[test]
    fn seeds_of_one_size_take_a_block_each() {
        let shape = towards(48 * 500, Some(48), USUAL);
        assert_eq!(
            shape,
            Shape {
                block_size: 48,
                block_count: 500
            }
        );
        let shape = towards(48 * 5000, Some(48), USUAL);
        assert_eq!(
            shape,
            Shape {
                block_size: 1000,
                block_count: 240
            },
            "so many go into longer blocks, and into one request still"
        );
    }

    #[test]
    fn kibibytes_are_rounded_up_and_bounded() {
        let blocks = |bytes| towards(bytes, None, Limits::QRYPT_KIB).block_count;
        assert_eq!(
            (blocks(1), blocks(1024), blocks(1025), blocks(1 << 30)),
            (1, 1, 2, 512)
        );
    }

    /// A service that gives no small amounts: `min_size` to 64 bytes a block, `min_count` to 8
    /// blocks.
    fn coarse(min_size: u32, min_count: u32) -> Limits {
        Limits {
            min_size,
            max_size: 64,
            min_count,
            max_count: 8,
        }
    }

    fn ask(bytes: usize, limits: Limits) -> (u32, u32) {
        let shape = towards(bytes, Some(48), limits);
        (shape.block_size, shape.block_count)
    }

    #[test]
    fn what_a_least_size_allows_is_exact() {
        assert_eq!(ask(48, coarse(16, 1)), (48, 1));
        assert_eq!(ask(96, coarse(16, 1)), (48, 2), "a block a seed");
        assert_eq!(ask(48, coarse(16, 2)), (24, 2));
        assert_eq!(ask(50, coarse(1, 5)), (10, 5));
        assert_eq!(ask(131, coarse(3, 1)), (64, 2), "and a second one for 3");
    }

    #[test]
    fn what_is_less_than_the_least_is_covered_by_as_little_as_possible() {
        assert_eq!(ask(8, coarse(16, 1)), (16, 1));
        assert_eq!(ask(1, coarse(64, 8)), (64, 8));
        assert_eq!(ask(48, coarse(16, 4)), (16, 4));
        assert_eq!(ask(47, coarse(1, 5)), (8, 6));
        assert_eq!(
            ask(131, coarse(16, 1)),
            (44, 3),
            "a rest of 3 is too little to be asked for by itself"
        );
        assert_eq!(ask(10_000, coarse(16, 4)), (64, 8), "the most there is");
    }

    #[test]
    fn odd_limits_are_never_left() {
        let coarse = [(1, 1), (1, 3), (16, 1), (63, 1), (64, 8), (7, 5)];
        for (min_size, min_count) in coarse {
            let limits = self::coarse(min_size, min_count);
            for bytes in 1..=1200 {
                let shape = towards(bytes, Some(48), limits);
                assert!(limits.allow(shape), "{bytes}: {shape:?}");
                let asked = shape.bytes();
                let least = (min_size * min_count) as usize;
                // Never a block more than is needed, unless that is the least there is.
                assert!(asked < bytes + 64.max(least), "{bytes}: {asked}");
            }
        }
    }
}
