//! Which lengths of seed a token takes, tried with bytes of the local kernel.

use std::fmt::Write;
use std::num::NonZeroU32;

use qseed_config::Partition;
use qseed_entropy::Seed;
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::wire::{FromWorker, ToWorker};
use rustix::rand::GetRandomFlags;

use super::verdict::{Subject, Verdict};
use crate::visit::{Lost, Visit};

/// Lengths that are tried besides the configured ones, in bytes: around the seed lengths of the
/// generators of SP 800-90A and the limits that tokens are known to have.
const LENGTHS: [usize; 8] = [1, 16, 32, 48, 64, 256, 1024, 65_536];

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// The lengths that the token took, ascending.
    accepted: Vec<usize>,
    /// Those that it did not take, and what it said.
    refused: Vec<(usize, TokenFailure)>,
    /// What ended the probe early and says nothing about lengths.
    ended: Option<TokenFailure>,
}

/// The lengths of the calls by which a partition is seeded.
fn configured(partition: &Partition) -> Vec<usize> {
    let size = partition.size;
    let chunk = partition.chunk.unwrap_or(size).min(size);
    let mut lengths = vec![chunk];
    lengths.extend(Some(size % chunk).filter(|rest| *rest > 0));
    lengths
}

fn lengths(partition: &Partition) -> Vec<usize> {
    let mut lengths = configured(partition);
    lengths.push(partition.size);
    lengths.extend(LENGTHS);
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// Seeds an open partition with one length after the other, upwards, until the token takes no
/// more. The partition was opened without `chunk`.
pub(super) async fn probe(
    visit: &mut Visit,
    number: u32,
    partition: &Partition,
) -> Result<Probe, Lost> {
    let mut probe = Probe::default();
    for (length, job) in lengths(partition).into_iter().zip(1..) {
        visit.send(ToWorker::Seed {
            partition: number,
            job,
            seed: local(length),
        });
        let (failure, open) = answer(visit).await?;
        match failure {
            None => probe.accepted.push(length),
            Some(failure) if !may_be_length(&failure) => {
                probe.ended = Some(failure);
                break;
            }
            Some(failure) => {
                probe.refused.push((length, failure));
                if !open || !probe.accepted.is_empty() {
                    break;
                }
            }
        }
    }
    Ok(probe)
}

/// The answer to a seed: why it failed, and whether the partition is still open.
async fn answer(visit: &mut Visit) -> Result<(Option<TokenFailure>, bool), Lost> {
    loop {
        match visit.message().await? {
            FromWorker::Seeded { .. } => return Ok((None, true)),
            FromWorker::SeedFailed { failure, open, .. } => return Ok((Some(failure), open)),
            _ => {}
        }
    }
}

/// Tokens say in several ways that a length does not suit them.
fn may_be_length(failure: &TokenFailure) -> bool {
    matches!(
        failure.class,
        FailureClass::Length | FailureClass::Device | FailureClass::General
    )
}

/// Bytes of the local kernel.
fn local(length: usize) -> Seed {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        // Interrupted, at worst: the kernel's generator has long been seeded.
        filled += rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .unwrap_or_default();
    }
    Seed::new(bytes)
}

impl Probe {
    /// Whether the token took a seed at all.
    pub(super) fn took_any(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// What it means for a partition.
    pub(super) fn verdict(&self, subject: &Subject, partition: &Partition) -> Verdict {
        const CHECK: &str = "seeding";
        if let Some(failure) = &self.ended {
            return ended(subject, failure);
        }
        if self.accepted.is_empty() {
            let failures = self.refused.last();
            let why = failures.map_or(String::new(), |(_, failure)| failure.to_string());
            let text = format!("the token took none of the seeds that were tried: {why}");
            return subject.fault(CHECK, text, "ask the vendor how the token is to be seeded");
        }
        let window = self.window();
        let suits = |length: &usize| self.accepted.contains(length);
        if configured(partition).iter().all(suits) {
            return subject.ok(CHECK, window);
        }
        let size = partition.size;
        let text = match partition.chunk {
            None => format!("the token does not take {size} bytes in one call: {window}"),
            Some(chunk) => {
                format!("the token does not take {size} bytes in calls of {chunk}: {window}")
            }
        };
        let fix = match self.chunk_for(size) {
            _ if suits(&size) => "leave `chunk` out".to_owned(),
            Some(chunk) => format!("set chunk: {chunk}"),
            None => format!("set size: {}", self.accepted[0]),
        };
        subject.fault(CHECK, text, fix)
    }

    /// The longest accepted length by which a seed of `size` bytes can be cut without a rest that
    /// is too short.
    fn chunk_for(&self, size: usize) -> Option<NonZeroU32> {
        let shortest = *self.accepted.first()?;
        let suits = |chunk: &&usize| {
            let rest = size % **chunk;
            **chunk < size && (rest == 0 || rest >= shortest)
        };
        let chunk = self.accepted.iter().rev().find(suits)?;
        u32::try_from(*chunk).ok().and_then(NonZeroU32::new)
    }

    fn window(&self) -> String {
        let (first, last) = (self.accepted[0], self.accepted[self.accepted.len() - 1]);
        let mut text = if first == last {
            format!("it takes seeds of {first} bytes")
        } else {
            format!("it takes seeds of {first} to {last} bytes")
        };
        for (length, failure) in &self.refused {
            let _ = write!(text, ", not of {length} ({failure})");
        }
        text.push_str("; tried with bytes of the local kernel, not of a source");
        text
    }
}

fn ended(subject: &Subject, failure: &TokenFailure) -> Verdict {
    const CHECK: &str = "seeding";
    match failure.class {
        FailureClass::Permanent => subject.fault(
            CHECK,
            format!("the token takes no seed material, by its vendor's design: {failure}"),
            "remove the partition from the configuration, or ask the vendor",
        ),
        FailureClass::NotLoggedIn => subject.fault(
            CHECK,
            format!("the token wants a login before it is seeded: {failure}"),
            "set `login` and `pin` for the partition; with them, add --login to this check",
        ),
        _ => subject.fault(
            CHECK,
            format!("the token was not seeded: {failure}"),
            "look at the token with its vendor's tool",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::Probe;

    fn took(accepted: &[usize]) -> Probe {
        Probe {
            accepted: accepted.to_vec(),
            ..Probe::default()
        }
    }

    fn chunk(accepted: &[usize], size: usize) -> Option<u32> {
        took(accepted)
            .chunk_for(size)
            .map(std::num::NonZeroU32::get)
    }

    #[test]
    fn the_longest_chunk_that_leaves_no_short_rest_is_advised() {
        assert_eq!(chunk(&[1, 16, 32], 48), Some(32));
        assert_eq!(chunk(&[32], 48), None, "a rest of 16 bytes is too short");
        assert_eq!(chunk(&[16, 32], 48), Some(32));
        assert_eq!(chunk(&[32, 48, 64], 96), Some(64));
        assert_eq!(chunk(&[64, 256], 48), None);
    }
}
