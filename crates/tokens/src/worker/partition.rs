//! A partition: found, opened, logged in, seeded, closed.
//!
//! Nothing here blocks but Cryptoki calls: a partition that waits for the guard's verdict, or for
//! another partition's login at the same token, stores what it has in a [`Phase`], and its thread
//! goes on with others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use qseed_model::Login;
use qseed_model::pins::{HeldBack, PinAnswer};

use super::Worker;
use super::login::{Offer, allows_a_try};
use super::logins::Approach;
use super::operation::{Command, Operation};
use super::seeding::SeedJob;
use super::session::TokenSession;
use crate::ckr::Function;
use crate::failure::{FailureClass, TokenFailure};
use crate::wire::FromWorker;

/// A partition as the worker knows it.
pub(super) struct Partition {
    id: u32,
    phase: Phase,
}

/// What a partition has between two commands.
enum Phase {
    Closed,
    /// Another partition is logging in at the same token.
    Waiting(Pending),
    /// The guard is asked whether the PIN may be presented: a question of this number.
    Asking(Pending, u64, Offer),
    Open(TokenSession),
}

/// A session that is not logged in yet.
struct Pending {
    session: TokenSession,
    /// The seed that waits for the login; `None` while the partition is being opened.
    seed: Option<SeedJob>,
}

impl Partition {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            phase: Phase::Closed,
        }
    }

    pub(super) fn carry_out(&mut self, worker: &Arc<Worker>, command: Command) {
        let op = &Operation::new(worker, Some(self.id));
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        match (command, phase) {
            (Command::Open(how), phase) => {
                self.close(op, phase);
                match TokenSession::connect(op, &how) {
                    Ok(session) => {
                        let seed = None;
                        self.log_in(op, Pending { session, seed });
                    }
                    Err(failure) => self.report_closed(op, None, failure),
                }
            }
            (Command::Close, phase) => {
                self.close(op, phase);
                op.send(&FromWorker::Closed { partition: self.id });
            }
            (Command::Verdict { ask, held_back }, Phase::Asking(pending, asked, offer))
                if asked == ask =>
            {
                self.judged(op, pending, ask, offer, held_back);
            }
            (Command::LoginSettled, Phase::Waiting(pending)) => {
                op.resumes();
                self.log_in(op, pending);
            }
            (Command::Seed { job, seed }, Phase::Open(session)) => {
                self.recheck_and_inject(op, session, SeedJob::new(job, seed));
            }
            (Command::Seed { job, seed }, phase) => {
                let is_open = !matches!(phase, Phase::Closed);
                self.phase = phase;
                let failure = TokenFailure::new(FailureClass::Device, "the partition is not open");
                op.send(&SeedJob::new(job, seed).failed(self.id, failure, is_open));
            }
            // A close or a new open came in between.
            (Command::Verdict { .. } | Command::LoginSettled, phase) => self.phase = phase,
        }
    }

    /// Logs the session in, if the partition wants a login, and goes on with what waits for it.
    fn log_in(&mut self, op: &Operation<'_>, pending: Pending) {
        if pending.session.how.login == Login::None {
            return self.proceed(op, pending);
        }
        let offer = match Offer::prepare(op, &pending.session) {
            Ok(offer) => offer,
            Err(failure) => return self.give_up(op, pending, failure),
        };
        let slot = pending.session.slot.id();
        let approach = op.worker.logins().approach(slot, self.id, offer.credential);
        match approach {
            Approach::Joined => self.proceed(op, pending),
            Approach::Wait => {
                self.phase = Phase::Waiting(pending);
                let partition = self.id;
                op.send(&FromWorker::Waits { partition });
            }
            Approach::Conflict(other) => {
                let text = format!(
                    "another partition of this configuration is the same token and logs in as {other}"
                );
                let failure = TokenFailure::new(FailureClass::AnotherLogin, text);
                self.give_up(op, pending, failure);
            }
            Approach::Ask => self.ask(op, pending, offer),
        }
    }

    /// Asks the guard whether the PIN may be presented.
    fn ask(&mut self, op: &Operation<'_>, pending: Pending, offer: Offer) {
        if let Err(failure) = allows_a_try(offer.flags) {
            return self.login_failed(op, pending, failure);
        }
        let ask = op.worker.asks.fetch_add(1, Ordering::Relaxed);
        op.send(&FromWorker::PinAsk {
            partition: self.id,
            ask,
            tags: offer.tags,
            count_low: offer.flags.count_low,
        });
        self.phase = Phase::Asking(pending, ask, offer);
    }

    /// Carries out the guard's verdict.
    fn judged(
        &mut self,
        op: &Operation<'_>,
        pending: Pending,
        ask: u64,
        offer: Offer,
        held_back: Option<HeldBack>,
    ) {
        if let Some(reason) = held_back {
            let failure = TokenFailure::new(FailureClass::PinHeld(reason), "the PIN is held back");
            return self.login_failed(op, pending, failure);
        }
        let (answer, login) = offer.present(op, &pending.session);
        // Before another partition can ask: the guard must know this answer by then.
        self.report_answer(op, ask, answer, login.as_ref().err());
        match login {
            Ok(credential) => {
                op.settle_login(pending.session.slot.id(), self.id, Some(credential));
                self.proceed(op, pending);
            }
            Err(failure) => self.login_failed(op, pending, failure),
        }
    }

    /// Tells the guard what became of a PIN that it was asked about.
    fn report_answer(
        &self,
        op: &Operation<'_>,
        ask: u64,
        answer: PinAnswer,
        failure: Option<&TokenFailure>,
    ) {
        let of_login = failure.filter(|failure| failure.function == Some(Function::Login));
        op.send(&FromWorker::PinOutcome {
            partition: self.id,
            ask,
            answer,
            ckr: of_login.and_then(|failure| failure.ckr),
        });
    }

    /// Ends this partition's turn at the token's login, without a login.
    fn login_failed(&mut self, op: &Operation<'_>, pending: Pending, failure: TokenFailure) {
        op.settle_login(pending.session.slot.id(), self.id, None);
        self.give_up(op, pending, failure);
    }

    /// Goes on after the login.
    fn proceed(&mut self, op: &Operation<'_>, pending: Pending) {
        let Pending { session, seed } = pending;
        if let Some(job) = seed {
            return self.inject(op, session, job);
        }
        op.send(&FromWorker::Opened {
            partition: self.id,
            token: session.token.clone(),
        });
        self.phase = Phase::Open(session);
    }

    /// Injects a seed into the token that was opened, if it is still there.
    fn recheck_and_inject(&mut self, op: &Operation<'_>, mut session: TokenSession, job: SeedJob) {
        if session.checked.elapsed() >= op.worker.recheck_after {
            if let Err(failure) = session.recheck(op) {
                let seed = Some(job);
                return self.give_up(op, Pending { session, seed }, failure);
            }
            session.checked = Instant::now();
        }
        self.inject(op, session, job);
    }

    /// Injects a seed. A session or a login that was lost is renewed, once each, and the seed goes
    /// on where it stopped: into the same token or nowhere, and no chunk twice.
    fn inject(&mut self, op: &Operation<'_>, session: TokenSession, mut job: SeedJob) {
        let Err(failure) = job.mix_in(op, &session) else {
            op.send(&job.done(self.id));
            self.phase = Phase::Open(session);
            return;
        };
        let slot = session.slot.id();
        match failure.class {
            FailureClass::SessionLost if !job.reopened => {
                job.reopened = true;
                // Without a logout: other partitions may hold the login, and this session is gone.
                op.worker.logins().leave(slot, self.id);
                match session.reopen(op) {
                    Ok(session) => {
                        let seed = Some(job);
                        self.log_in(op, Pending { session, seed });
                    }
                    Err(failure) => self.report_closed(op, Some(&job), failure),
                }
            }
            FailureClass::SessionLost => {
                let seed = Some(job);
                self.give_up(op, Pending { session, seed }, failure);
            }
            FailureClass::NotLoggedIn
                if session.how.login != Login::None && !job.logged_in_again =>
            {
                job.logged_in_again = true;
                op.worker.logins().lost(slot, self.id);
                let seed = Some(job);
                self.log_in(op, Pending { session, seed });
            }
            _ => {
                let failure = op.worker.judge(failure);
                op.send(&job.failed(self.id, failure, true));
                self.phase = Phase::Open(session);
            }
        }
    }

    /// Closes the session and reports the failure.
    fn give_up(&self, op: &Operation<'_>, pending: Pending, failure: TokenFailure) {
        self.leave(op, pending.session);
        self.report_closed(op, pending.seed.as_ref(), failure);
    }

    fn report_closed(&self, op: &Operation<'_>, seed: Option<&SeedJob>, failure: TokenFailure) {
        let partition = self.id;
        let failure = op.worker.judge(failure);
        op.send(&match seed {
            None => FromWorker::OpenFailed { partition, failure },
            Some(job) => job.failed(partition, failure, false),
        });
    }

    fn close(&self, op: &Operation<'_>, phase: Phase) {
        let pending = match phase {
            Phase::Closed => return,
            Phase::Open(session) => return self.leave(op, session),
            Phase::Waiting(pending) => pending,
            Phase::Asking(pending, ask, _) => {
                // A verdict that is on its way finds nobody: the guard must not count it.
                self.report_answer(op, ask, PinAnswer::NotJudged, None);
                op.settle_login(pending.session.slot.id(), self.id, None);
                pending
            }
        };
        self.leave(op, pending.session);
        // Every seed is answered; an opening is not, since its end is what was asked for.
        if let Some(job) = &pending.seed {
            let text = "the partition was closed meanwhile";
            let failure = TokenFailure::new(FailureClass::Device, text);
            self.report_closed(op, Some(job), failure);
        }
    }

    /// Closes a session, after a logout where no other partition needs the login.
    fn leave(&self, op: &Operation<'_>, session: TokenSession) {
        if op.worker.logins().leave(session.slot.id(), self.id) {
            op.module().logout(&session.handle);
        }
        op.module().close(session.handle);
    }
}
