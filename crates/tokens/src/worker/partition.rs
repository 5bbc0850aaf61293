//! A partition: found, opened, logged in, seeded, closed.
//!
//! Nothing here blocks but Cryptoki calls: a partition that waits for the guard's verdict, or for
//! another partition's login at the same token, stores what it has in a [`Phase`], and its thread
//! goes on with others.

use std::sync::Arc;
use std::time::Instant;

use cryptoki::session::Session;
use cryptoki::slot::Slot;
use qseed_model::Login;
use qseed_model::pins::PinAnswer;

use super::Worker;
use super::inbox::Command;
use super::login::{Question, recheck};
use super::operation::Operation;
use super::seeding::SeedJob;
use crate::directory::TokenInfo;
use crate::failure::{FailureClass, TokenFailure};
use crate::wire::{FromWorker, Open};

/// A partition as the worker knows it.
pub(super) struct Partition {
    pub(super) id: u32,
    pub(super) phase: Phase,
}

/// What a partition has between two commands.
pub(super) enum Phase {
    Closed,
    /// Another partition is logging in at the same token.
    Waiting(Pending),
    /// The guard is asked whether the PIN may be presented.
    Asking(Pending, Question),
    Open(TokenSession),
}

/// An open session with a token.
pub(super) struct TokenSession {
    pub(super) handle: Session,
    pub(super) slot: Slot,
    pub(super) token: TokenInfo,
    /// When the slot was last seen to hold this token.
    pub(super) checked: Instant,
    /// How the partition is to be opened again if the session is lost.
    pub(super) how: Open,
}

/// A session that is not logged in yet.
pub(super) struct Pending {
    pub(super) session: TokenSession,
    /// The seed that waits for the login; `None` while the partition is being opened.
    pub(super) seed: Option<SeedJob>,
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
                match connect(op, &how) {
                    Ok(session) => self.log_in(
                        op,
                        Pending {
                            session,
                            seed: None,
                        },
                    ),
                    Err(failure) => self.report_closed(op, None, failure),
                }
            }
            (Command::Close, phase) => {
                self.close(op, phase);
                op.send(&FromWorker::Closed { partition: self.id });
            }
            (Command::Verdict { ask, present }, Phase::Asking(pending, question))
                if question.ask == ask =>
            {
                self.judged(op, pending, question, present);
            }
            (Command::LoginSettled, Phase::Waiting(pending)) => {
                op.resumes();
                self.log_in(op, pending);
            }
            (Command::Seed { job, seed }, Phase::Open(session)) => {
                self.check_and_inject(op, session, SeedJob::new(job, seed));
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

    /// Goes on after the login.
    pub(super) fn proceed(&mut self, op: &Operation<'_>, pending: Pending) {
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

    /// Closes the session and reports the failure.
    pub(super) fn give_up(&self, op: &Operation<'_>, pending: Pending, failure: TokenFailure) {
        self.leave(op, pending.session);
        self.report_closed(op, pending.seed.as_ref(), failure);
    }

    pub(super) fn report_closed(
        &self,
        op: &Operation<'_>,
        seed: Option<&SeedJob>,
        failure: TokenFailure,
    ) {
        let partition = self.id;
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
            Phase::Asking(pending, question) => {
                // A verdict that is on its way finds nobody: the guard must not count it.
                self.report_answer(op, question.ask, PinAnswer::NotJudged, None);
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

/// Finds the token and opens a session with it. Where the listing of slots that others share is
/// older than a change of slots, it is read again, once.
fn connect(op: &Operation<'_>, how: &Open) -> Result<TokenSession, TokenFailure> {
    match still_there(op, find_and_open(op, how)?) {
        Err(failure) if failure.class == FailureClass::TokenMissing => {
            still_there(op, find_and_open(op, how)?)
        }
        result => result,
    }
}

fn find_and_open(op: &Operation<'_>, how: &Open) -> Result<TokenSession, TokenFailure> {
    let (slot, token) = op.worker.slots.find(op, &how.token)?;
    if let Some(first) = &how.first
        && *first != token.name()
    {
        let text = format!(
            "slot {} now holds the token {}, and the partition was opened on {first}",
            token.slot_id,
            token.name()
        );
        return Err(TokenFailure::new(FailureClass::AnotherToken, text));
    }
    open_session(op, slot, token, how.clone())
}

pub(super) fn open_session(
    op: &Operation<'_>,
    slot: Slot,
    token: TokenInfo,
    how: Open,
) -> Result<TokenSession, TokenFailure> {
    // The security officer can log in to read/write sessions only (PKCS#11 3.1 section 5.6.8).
    let read_write = how.login == Login::So;
    Ok(TokenSession {
        handle: op.module().open(slot, read_write)?,
        slot,
        token,
        checked: Instant::now(),
        how,
    })
}

/// The session, if the slot still holds its token; else it is closed.
pub(super) fn still_there(
    op: &Operation<'_>,
    session: TokenSession,
) -> Result<TokenSession, TokenFailure> {
    match recheck(op, &session) {
        Ok(_) => Ok(session),
        Err(failure) => {
            op.module().close(session.handle);
            Err(failure)
        }
    }
}
