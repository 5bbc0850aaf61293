//! A partition: found, opened, logged in, seeded, closed.
//!
//! Nothing here blocks but Cryptoki calls: a partition that waits for the guard's verdict, or for
//! another partition's login at the same token, keeps its place in a [`Phase`] and its thread goes
//! on with others.

use std::sync::Arc;
use std::time::Instant;

use cryptoki::session::Session;
use cryptoki::slot::Slot;
use qseed_entropy::Seed;
use qseed_model::Login;

use super::Worker;
use super::inbox::Command;
use super::login::{CKU_SO, Question, look_again, user_type};
use super::logins::LoginNumber;
use super::pulse::Pulse;
use super::seeding::SeedJob;
use crate::directory::TokenInfo;
use crate::failure::{FailureClass, TokenFailure};
use crate::wire::{FromWorker, Open, PinOutcome, Verdict};

/// A partition as the worker knows it.
pub(super) struct Partition {
    pub(super) id: u32,
    pub(super) phase: Phase,
}

/// Where a partition stands between two commands.
pub(super) enum Phase {
    Closed,
    /// Another partition is logging in at the same token.
    Waiting(Entry),
    /// The guard is asked whether the PIN may be presented.
    Asking(Entry, Question),
    Open(Place),
}

/// An open session with a token.
pub(super) struct Place {
    pub(super) session: Session,
    pub(super) slot: Slot,
    pub(super) token: TokenInfo,
    /// When the token in the slot was last seen to be this one.
    pub(super) looked_at: Instant,
    /// The login that the session came in by.
    pub(super) login: Option<LoginNumber>,
    /// How the partition is to be opened, should the session be lost.
    pub(super) how: Open,
}

/// A place that is not logged in yet, and what for.
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) purpose: Purpose,
}

/// What follows a login.
pub(super) enum Purpose {
    Open,
    Seed(SeedJob),
}

impl Partition {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            phase: Phase::Closed,
        }
    }

    pub(super) fn carry_out(&mut self, worker: &Arc<Worker>, command: Command) {
        let pulse = Pulse::new(&worker.link, Some(self.id));
        match command {
            Command::Open(how) => self.open(worker, &pulse, how),
            Command::Verdict { ask, verdict } => self.judged(worker, &pulse, ask, verdict),
            Command::LoginSettled => self.come_again(worker, &pulse),
            Command::Seed { job, seed } => self.seed(worker, &pulse, job, seed),
            Command::Close => {
                self.close(worker, &pulse);
                worker.link.send(&FromWorker::Closed { partition: self.id });
            }
        }
    }

    fn open(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, how: Open) {
        self.close(worker, pulse);
        match arrive(worker, pulse, how) {
            Ok(place) => {
                let purpose = Purpose::Open;
                self.enter(worker, pulse, Entry { place, purpose });
            }
            Err(failure) => self.report_closed(worker, &Purpose::Open, failure),
        }
    }

    fn judged(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, ask: u64, verdict: Verdict) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Asking(entry, question) if question.ask == ask => {
                self.log_in(worker, pulse, entry, question, verdict);
            }
            // A verdict that a close or a new open overtook.
            other => self.phase = other,
        }
    }

    fn come_again(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Waiting(entry) => {
                pulse.go_on();
                self.enter(worker, pulse, entry);
            }
            other => self.phase = other,
        }
    }

    fn seed(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, job: u64, seed: Seed) {
        let job = SeedJob::new(job, seed);
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Open(place) => self.inject_after_a_look(worker, pulse, place, job),
            other => {
                let is_open = !matches!(other, Phase::Closed);
                self.phase = other;
                let text = "the partition is not open";
                let failure = TokenFailure::new(FailureClass::Device, text);
                worker.link.send(&job.failed(self.id, failure, is_open));
            }
        }
    }

    /// Goes on behind the login.
    pub(super) fn begin(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, entry: Entry) {
        let Entry { place, purpose } = entry;
        match purpose {
            Purpose::Open => {
                let token = place.token.clone();
                self.phase = Phase::Open(place);
                let partition = self.id;
                worker.link.send(&FromWorker::Opened { partition, token });
            }
            Purpose::Seed(job) => self.inject(worker, pulse, place, job),
        }
    }

    /// Gives up an entry: the session is closed and the failure told.
    pub(super) fn give_up(
        &mut self,
        worker: &Arc<Worker>,
        pulse: &Pulse<'_>,
        entry: Entry,
        failure: TokenFailure,
    ) {
        self.leave(worker, pulse, entry.place);
        self.report_closed(worker, &entry.purpose, failure);
    }

    pub(super) fn report_closed(&self, worker: &Worker, purpose: &Purpose, failure: TokenFailure) {
        let partition = self.id;
        worker.link.send(&match purpose {
            Purpose::Open => FromWorker::OpenFailed { partition, failure },
            Purpose::Seed(job) => job.failed(partition, failure, false),
        });
    }

    fn close(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Closed => {}
            Phase::Open(place) => self.leave(worker, pulse, place),
            Phase::Waiting(entry) => self.abandon(worker, pulse, entry),
            Phase::Asking(entry, question) => {
                // A verdict that is on its way finds nobody: the guard must not count it.
                worker.link.send(&FromWorker::PinOutcome {
                    partition: self.id,
                    ask: question.ask,
                    outcome: PinOutcome::NotPresented,
                });
                worker.settle_login(&entry.place, self.id, None);
                self.abandon(worker, pulse, entry);
            }
        }
    }

    /// Closes what was under way. A seed that waited for a login is answered, as every seed is.
    fn abandon(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, entry: Entry) {
        self.leave(worker, pulse, entry.place);
        if let purpose @ Purpose::Seed(_) = &entry.purpose {
            let text = "the partition was closed meanwhile";
            let failure = TokenFailure::new(FailureClass::Device, text);
            self.report_closed(worker, purpose, failure);
        }
    }

    /// Closes a session, after a logout where no other partition needs the login.
    pub(super) fn leave(&self, worker: &Worker, pulse: &Pulse<'_>, place: Place) {
        if worker.logins().leave(place.slot.id(), self.id) {
            pulse.beat();
            worker.module.logout(&place.session);
        }
        pulse.beat();
        worker.module.close(place.session);
    }
}

/// Finds the token and opens a session with it. Where a listing that others share turns out to be
/// older than a change of slots, it is read again, once.
fn arrive(worker: &Worker, pulse: &Pulse<'_>, how: Open) -> Result<Place, TokenFailure> {
    let place = open_session(worker, pulse, how)?;
    let Err(failure) = look_again(worker, pulse, &place) else {
        return Ok(place);
    };
    pulse.beat();
    worker.module.close(place.session);
    if failure.class != FailureClass::TokenMissing {
        return Err(failure);
    }
    worker.finder.forget();
    let place = open_session(worker, pulse, place.how)?;
    match look_again(worker, pulse, &place) {
        Ok(_) => Ok(place),
        Err(failure) => {
            worker.module.close(place.session);
            Err(failure)
        }
    }
}

fn open_session(worker: &Worker, pulse: &Pulse<'_>, how: Open) -> Result<Place, TokenFailure> {
    let (slot, token) = worker.finder.find(&worker.module, &how.token, pulse)?;
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
    pulse.beat();
    let session = worker.module.open(slot, needs_read_write(how.login))?;
    Ok(Place {
        session,
        slot,
        token,
        looked_at: Instant::now(),
        login: None,
        how,
    })
}

/// The security officer logs in to read/write sessions alone (PKCS#11 3.1 section 5.6.8).
pub(super) fn needs_read_write(login: Login) -> bool {
    user_type(login).is_some_and(|user| user == CKU_SO)
}
