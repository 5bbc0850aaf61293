//! Checked entropy on its way to seeds: first in, first out, each byte once.

use std::collections::VecDeque;
use std::time::Duration;

use qseed_entropy::Seed;
use zeroize::Zeroizing;

use crate::checks::CheckedEntropy;
use crate::ids::{JobId, RequestId, SourceId};
use crate::time::Moment;

/// Where some bytes of a seed come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The source that delivered them.
    pub source: SourceId,
    /// The request that they answered.
    pub request: RequestId,
    /// Their place in the answer, in decoded bytes.
    pub offset: usize,
    /// Their number.
    pub bytes: usize,
}

/// What a seed is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeOf {
    /// The bytes of the sources.
    pub portions: Vec<Portion>,
    /// The kernel's random bytes are mixed in by XOR as well.
    pub mix_local: bool,
}

/// A seed on its way into a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// Its number.
    pub job: JobId,
    /// The bytes of the seed.
    pub bytes: usize,
    /// Where they come from.
    pub made_of: MadeOf,
}

/// What one source delivered and no seed has taken yet.
#[derive(Debug)]
pub(crate) struct Reservoir {
    source: SourceId,
    deliveries: VecDeque<Held>,
    available: usize,
}

#[derive(Debug)]
struct Held {
    request: RequestId,
    arrived: Moment,
    taken: usize,
    entropy: CheckedEntropy,
}

impl Reservoir {
    pub(crate) fn new(source: SourceId) -> Self {
        Self {
            source,
            deliveries: VecDeque::new(),
            available: 0,
        }
    }

    /// Bytes that seeds can still take.
    pub(crate) fn available(&self) -> usize {
        self.available
    }

    pub(crate) fn add(&mut self, request: RequestId, arrived: Moment, entropy: CheckedEntropy) {
        self.available += entropy.len();
        self.deliveries.push_back(Held {
            request,
            arrived,
            taken: 0,
            entropy,
        });
    }

    /// Fills `seed`, the oldest bytes first; what is taken is wiped here.
    ///
    /// # Panics
    /// If fewer bytes are available.
    fn fill(&mut self, mut seed: &mut [u8], portions: &mut Vec<Portion>) {
        while !seed.is_empty() {
            let held = self
                .deliveries
                .front_mut()
                .expect("the caller asked for what is there");
            let bytes = seed.len().min(held.entropy.len() - held.taken);
            let (here, rest) = seed.split_at_mut(bytes);
            held.entropy.move_out(held.taken, here);
            portions.push(Portion {
                source: self.source,
                request: held.request,
                offset: held.taken,
                bytes,
            });
            held.taken += bytes;
            self.available -= bytes;
            seed = rest;
            if held.taken == held.entropy.len() {
                self.deliveries.pop_front();
            }
        }
    }

    /// Wipes what is `max_age` old or older; returns how many bytes that were.
    pub(crate) fn wipe_arrived_by(&mut self, now: Moment, max_age: Duration) -> usize {
        let mut wiped = 0;
        while let Some(held) = self
            .deliveries
            .front()
            .filter(|held| held.arrived + max_age <= now)
        {
            wiped += held.entropy.len() - held.taken;
            self.deliveries.pop_front();
        }
        self.available -= wiped;
        wiped
    }

    /// When the oldest bytes arrived.
    pub(crate) fn oldest(&self) -> Option<Moment> {
        self.deliveries.front().map(|held| held.arrived)
    }

    /// Wipes everything; returns how many bytes that were.
    pub(crate) fn wipe(&mut self) -> usize {
        self.deliveries.clear();
        std::mem::take(&mut self.available)
    }
}

/// Takes a seed of `size` bytes from the reservoirs one after the other, if they hold that many
/// together.
pub(crate) fn take_in_turn<'r>(
    reservoirs: impl Iterator<Item = &'r mut Reservoir>,
    size: usize,
) -> (Seed, Vec<Portion>) {
    let mut bytes = Zeroizing::new(vec![0; size]);
    let mut portions = Vec::new();
    let mut filled = 0;
    for reservoir in reservoirs {
        let here = reservoir.available().min(size - filled);
        reservoir.fill(&mut bytes[filled..filled + here], &mut portions);
        filled += here;
    }
    assert_eq!(
        filled, size,
        "seeds are exact: the caller asked for what is there"
    );
    (Seed::new(std::mem::take(&mut bytes)), portions)
}

/// Takes a seed of `size` bytes from each of the reservoirs and XORs them.
pub(crate) fn take_xored<'r>(
    reservoirs: impl Iterator<Item = &'r mut Reservoir>,
    size: usize,
) -> (Seed, Vec<Portion>) {
    let mut portions = Vec::new();
    let seed = reservoirs
        .map(|reservoir| {
            let mut bytes = Zeroizing::new(vec![0; size]);
            reservoir.fill(&mut bytes, &mut portions);
            Seed::new(std::mem::take(&mut bytes))
        })
        .reduce(|mut seed, other| {
            seed.xor(other);
            seed
        })
        .expect("a configuration has at least one source");
    (seed, portions)
}

#[cfg(test)]
mod tests {
    use super::{Portion, Reservoir, take_in_turn, take_xored};
    use crate::checks::{Checks, SeenBefore};
    use crate::ids::{RequestId, SourceId};
    use crate::time::Moment;
    use qseed_entropy::Entropy;
    use qseed_model::Shape;

    fn reservoir(source: u32, deliveries: &[&[u8]]) -> Reservoir {
        let mut reservoir = Reservoir::new(SourceId(source));
        for (number, bytes) in (0..).zip(deliveries) {
            let entropy = Entropy::new(bytes.to_vec());
            let shape = Shape {
                block_size: u32::try_from(bytes.len()).expect("a few"),
                block_count: 1,
            };
            let mut seen = SeenBefore::new(0);
            let checked = Checks::default()
                .examine(entropy, shape, SourceId(source), &mut seen)
                .expect("distinct bytes");
            reservoir.add(RequestId(number), Moment::START, checked);
        }
        reservoir
    }

    #[test]
    fn bytes_leave_in_order_and_once() {
        let mut held = reservoir(1, &[&[1, 2, 3], &[4, 5, 6]]);
        let (seed, portions) = take_in_turn([&mut held].into_iter(), 4);
        assert_eq!(seed.expose(), [1, 2, 3, 4]);
        let portion = |request, offset, bytes| Portion {
            source: SourceId(1),
            request: RequestId(request),
            offset,
            bytes,
        };
        assert_eq!(portions, [portion(0, 0, 3), portion(1, 0, 1)]);
        let (seed, portions) = take_in_turn([&mut held].into_iter(), 2);
        assert_eq!(seed.expose(), [5, 6]);
        assert_eq!(portions, [portion(1, 1, 2)]);
        assert_eq!(held.available(), 0);
    }

    #[test]
    fn a_seed_may_span_sources() {
        let (mut a, mut b) = (reservoir(1, &[&[1, 2]]), reservoir(2, &[&[3, 4]]));
        let (seed, portions) = take_in_turn([&mut a, &mut b].into_iter(), 3);
        assert_eq!(seed.expose(), [1, 2, 3]);
        assert_eq!(portions.len(), 2);
        assert_eq!((a.available(), b.available()), (0, 1));
    }

    #[test]
    fn xor_takes_from_every_source() {
        let (mut a, mut b) = (reservoir(1, &[&[0b1100, 7]]), reservoir(2, &[&[0b1010, 7]]));
        let (seed, _) = take_xored([&mut a, &mut b].into_iter(), 2);
        assert_eq!(seed.expose(), [0b0110, 0]);
        assert_eq!((a.available(), b.available()), (0, 0));
    }

    #[test]
    fn wiped_bytes_are_gone() {
        let mut held = reservoir(1, &[&[1, 2, 3]]);
        assert_eq!(held.wipe(), 3);
        assert_eq!(held.available(), 0);
    }
}
