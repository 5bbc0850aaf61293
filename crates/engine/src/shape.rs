//! The shape of a request: exact amounts in as few requests as the interface allows.

use crate::settings::Limits;

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes a block, at least 1; 1,024 where the interface counts kibibytes.
    pub block_size: u32,
    /// Blocks, at least 1.
    pub block_count: u32,
}

impl Shape {
    /// The bytes that the answer must have.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.block_size as usize * self.block_count as usize
    }

    /// The first request towards `bytes` in all, where each seed takes `seed` bytes (`None`:
    /// seeds of several sizes).
    ///
    /// One block a seed where all fit into one request. Otherwise a single request for exactly
    /// `bytes` where the number can be split into blocks, preferring long ones; otherwise the most
    /// that whole blocks can carry, and a second request brings the rest.
    pub(crate) fn towards(bytes: usize, seed: Option<usize>, limits: Limits) -> Self {
        match limits {
            Limits::Kibibytes { max } => {
                let units = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
                Self {
                    block_size: 1024,
                    block_count: units.clamp(1, max.max(1)),
                }
            }
            Limits::Blocks {
                max_size,
                max_count,
            } => in_blocks(bytes, seed, max_size, max_count),
        }
    }
}

fn in_blocks(bytes: usize, seed: Option<usize>, max_size: u32, max_count: u32) -> Shape {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
    let (max_size, max_count) = (max_size.max(1), max_count.max(1));
    if let Some(seed) = seed.and_then(|seed| u32::try_from(seed).ok())
        && seed <= max_size
        && bytes.is_multiple_of(seed)
        && bytes / seed <= max_count
    {
        return Shape {
            block_size: seed,
            block_count: bytes / seed,
        };
    }
    let exact = (1..=max_size.min(bytes))
        .rev()
        .find(|size| bytes.is_multiple_of(*size) && bytes / size <= max_count);
    match exact {
        Some(size) => Shape {
            block_size: size,
            block_count: bytes / size,
        },
        None => Shape {
            block_size: max_size,
            block_count: (bytes / max_size).clamp(1, max_count),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Shape};

    /// The requests that bring `bytes` bytes for one seed of that size.
    fn plan(bytes: usize) -> Vec<(u32, u32)> {
        let mut left = bytes;
        let mut requests = Vec::new();
        while left > 0 {
            let shape = Shape::towards(left, Some(bytes), Limits::QRYPT);
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
        let shape = Shape::towards(48 * 500, Some(48), Limits::QRYPT);
        assert_eq!(
            shape,
            Shape {
                block_size: 48,
                block_count: 500
            }
        );
        let shape = Shape::towards(48 * 5000, Some(48), Limits::QRYPT);
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
        let blocks = |bytes| Shape::towards(bytes, None, Limits::QRYPT_KIB).block_count;
        assert_eq!(
            (blocks(1), blocks(1024), blocks(1025), blocks(1 << 30)),
            (1, 1, 2, 512)
        );
    }
}
