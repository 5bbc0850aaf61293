//! Which lengths of seed a token takes, tried with bytes of the local kernel.

use std::fmt::Write;

use qseed_config::{Login, Partition};
use qseed_entropy::Seed;
use qseed_tokens::failure::{FailureClass, TokenFailure};
use qseed_tokens::wire::{FromWorker, ToWorker};

use super::partitions::Found;
use crate::module_worker::{ModuleFailure, ModuleWorker};
use crate::random::random_bytes;

/// Lengths that are tried besides the configured ones, in bytes: around the seed lengths of the
/// generators of SP 800-90A and the limits that tokens are known to have.
const LENGTHS: [usize; 8] = [1, 16, 32, 48, 64, 256, 1024, 65_536];

/// The result of a probe.
#[derive(Debug, Default)]
struct Probe {
    /// The lengths that the token took, ascending.
    accepted: Vec<usize>,
    /// The lengths that it refused, and what it answered.
    refused: Vec<(usize, TokenFailure)>,
    /// A failure that ended the probe and says nothing about lengths.
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
/// more, and adds the verdict. The partition was opened without `chunk`.
pub(super) async fn probe(
    worker: &mut ModuleWorker,
    number: u32,
    found: &mut Found<'_>,
) -> Result<(), ModuleFailure> {
    let mut probe = Probe::default();
    for (length, job) in lengths(found.partition).into_iter().zip(1..) {
        worker.send(ToWorker::Seed {
            partition: number,
            job,
            seed: Seed::new(random_bytes(length)),
        });
        let (failure, open) = answer(worker).await?;
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
    found.took_seeds = !probe.accepted.is_empty();
    probe.verdict(found);
    Ok(())
}

/// The answer to a seed: why it failed, and whether the partition is still open.
async fn answer(worker: &mut ModuleWorker) -> Result<(Option<TokenFailure>, bool), ModuleFailure> {
    loop {
        match worker.answer().await? {
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

impl Probe {
    /// What the lengths mean for the partition.
    fn verdict(&self, found: &mut Found<'_>) {
        const CHECK: &str = "seeding";
        let partition = found.partition;
        if let Some(failure) = &self.ended {
            if failure.class == FailureClass::NotLoggedIn && partition.login != Login::None {
                let text = format!("the token wants a login before it is seeded: {failure}");
                return found
                    .subject
                    .fault(CHECK, text, "add --login to this check");
            }
            return found.failed(CHECK, failure, None);
        }
        if self.accepted.is_empty() {
            let last = self.refused.last();
            let why = last.map_or(String::new(), |(_, failure)| failure.to_string());
            let text = format!("the token took none of the seeds that were tried: {why}");
            return found.subject.fault(
                CHECK,
                text,
                "ask the vendor how the token is to be seeded",
            );
        }
        let window = self.window();
        let suits = |length: &usize| self.accepted.contains(length);
        if configured(partition).iter().all(suits) {
            return found.subject.ok(CHECK, window);
        }
        let size = partition.size;
        let calls = match partition.chunk {
            None => "one call".to_owned(),
            Some(chunk) => format!("calls of {chunk}"),
        };
        let text = format!("the token does not take {size} bytes in {calls}: {window}");
        let fix = match self.chunk_for(size) {
            _ if suits(&size) => "leave `chunk` out".to_owned(),
            Some(chunk) => format!("set chunk: {chunk}"),
            None => format!("set size: {}", self.accepted[0]),
        };
        found.subject.fault(CHECK, text, fix);
    }

    /// The longest accepted length by which a seed of `size` bytes can be cut without a rest that
    /// is too short.
    fn chunk_for(&self, size: usize) -> Option<usize> {
        let shortest = *self.accepted.first()?;
        let suits = |chunk: &&usize| {
            let rest = size % **chunk;
            **chunk < size && (rest == 0 || rest >= shortest)
        };
        self.accepted.iter().rev().find(suits).copied()
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

#[cfg(test)]
mod tests {
    use super::Probe;

    fn took(accepted: &[usize]) -> Probe {
        Probe {
            accepted: accepted.to_vec(),
            ..Probe::default()
        }
    }

    fn chunk(accepted: &[usize], size: usize) -> Option<usize> {
        took(accepted).chunk_for(size)
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
