//! One seed into one token.

use std::time::{Duration, Instant};

use qseed_entropy::Seed;
use qseed_model::Login;

use super::login::recheck;
use super::operation::Operation;
use super::partition::{Partition, Pending, Phase, TokenSession, open_session, still_there};
use crate::failure::{FailureClass, TokenFailure};
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
    reopened: bool,
    logged_in_again: bool,
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

    fn done(&self, partition: u32) -> FromWorker {
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
    fn mix_in(&mut self, op: &Operation<'_>, session: &TokenSession) -> Result<(), TokenFailure> {
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

impl Partition {
    /// Injects a seed into the token that was opened, if it is still there.
    pub(super) fn check_and_inject(
        &mut self,
        op: &Operation<'_>,
        mut session: TokenSession,
        job: SeedJob,
    ) {
        if session.checked.elapsed() >= op.worker.recheck_after {
            if let Err(failure) = recheck(op, &session) {
                let seed = Some(job);
                return self.give_up(op, Pending { session, seed }, failure);
            }
            session.checked = Instant::now();
        }
        self.inject(op, session, job);
    }

    /// Injects a seed. A session or a login that was lost is renewed, once each, and the seed goes
    /// on where it stopped: into the same token or nowhere, and no chunk twice.
    pub(super) fn inject(&mut self, op: &Operation<'_>, session: TokenSession, mut job: SeedJob) {
        let Err(failure) = job.mix_in(op, &session) else {
            self.phase = Phase::Open(session);
            return op.send(&job.done(self.id));
        };
        let has_login = session.how.login != Login::None;
        match failure.class {
            FailureClass::SessionLost if !job.reopened => {
                job.reopened = true;
                self.reopen(op, session, job);
            }
            FailureClass::SessionLost => {
                let seed = Some(job);
                self.give_up(op, Pending { session, seed }, failure);
            }
            FailureClass::NotLoggedIn if has_login && !job.logged_in_again => {
                job.logged_in_again = true;
                op.worker.logins().lost(session.slot.id(), self.id);
                let seed = Some(job);
                self.log_in(op, Pending { session, seed });
            }
            _ => {
                self.phase = Phase::Open(session);
                op.send(&job.failed(self.id, failure, true));
            }
        }
    }

    /// Opens a new session with the same token, in place of one that is gone.
    fn reopen(&mut self, op: &Operation<'_>, lost: TokenSession, job: SeedJob) {
        // Without a logout: other partitions may hold the login, and this session is gone.
        op.worker.logins().leave(lost.slot.id(), self.id);
        // Where the module was mistaken, the old session must not take room in its table.
        op.module().close(lost.handle);
        let session = open_session(op, lost.slot, lost.token, lost.how);
        match session.and_then(|session| still_there(op, session)) {
            Ok(session) => {
                let seed = Some(job);
                self.log_in(op, Pending { session, seed });
            }
            Err(failure) => self.report_closed(op, Some(&job), failure),
        }
    }
}
