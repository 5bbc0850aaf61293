//! One seed on its way into a token.

use std::time::{Duration, Instant};

use qseed_entropy::Seed;

use super::operation::Operation;
use super::session::TokenSession;
use crate::failure::TokenFailure;
use crate::wire::FromWorker;

/// A seed on its way. It is wiped when this is dropped, whatever became of it.
pub(super) struct SeedJob {
    job: u64,
    seed: Seed,
    /// The bytes that the token took, in calls that answered `CKR_OK`.
    mixed_in: usize,
    spent: Duration,
    calls: u32,
    /// Each is tried once for a seed.
    pub(super) reopened: bool,
    pub(super) logged_in_again: bool,
}

impl SeedJob {
    pub(super) fn new(job: u64, seed: Seed) -> Self {
        Self {
            job,
            seed,
            mixed_in: 0,
            spent: Duration::ZERO,
            calls: 0,
            reopened: false,
            logged_in_again: false,
        }
    }

    /// The report of its failure.
    pub(super) fn failed(&self, partition: u32, failure: TokenFailure, open: bool) -> FromWorker {
        FromWorker::SeedFailed {
            partition,
            job: self.job,
            failure,
            duration_us: self.duration_us(),
            open,
        }
    }

    /// The report of its success.
    pub(super) fn done(&self, partition: u32) -> FromWorker {
        FromWorker::Seeded {
            partition,
            job: self.job,
            duration_us: self.duration_us(),
            calls: self.calls,
        }
    }

    fn duration_us(&self) -> u64 {
        u64::try_from(self.spent.as_micros()).unwrap_or(u64::MAX)
    }

    /// Mixes in what the token has not taken yet, in as many calls as `chunk` asks for.
    pub(super) fn mix_in(
        &mut self,
        op: &Operation<'_>,
        session: &TokenSession,
    ) -> Result<(), TokenFailure> {
        let chunk = session.how.chunk.map(|chunk| usize::try_from(chunk.get()));
        let chunk = chunk.and_then(Result::ok).unwrap_or(usize::MAX);
        for part in self.seed.expose()[self.mixed_in..].chunks(chunk) {
            let module = op.module();
            let began = Instant::now();
            let answer = module.seed(&session.handle, part);
            self.spent += began.elapsed();
            self.calls = self.calls.saturating_add(1);
            answer?;
            self.mixed_in += part.len();
        }
        Ok(())
    }
}
