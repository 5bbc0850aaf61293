//! One seed into one token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use qseed_entropy::Seed;

use super::Worker;
use super::login::look_again;
use super::partition::{Entry, Partition, Phase, Place, Purpose, needs_read_write};
use super::pulse::Pulse;
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
    /// Each way to mend things is gone once for a seed.
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
    fn mix_in(
        &mut self,
        worker: &Worker,
        pulse: &Pulse<'_>,
        place: &Place,
    ) -> Result<(), TokenFailure> {
        let rest = &self.seed.expose()[self.mixed_in..];
        let chunk = place
            .how
            .chunk
            .and_then(|chunk| usize::try_from(chunk.get()).ok());
        for part in rest.chunks(chunk.unwrap_or(rest.len()).min(rest.len())) {
            pulse.beat();
            let began = Instant::now();
            let answer = worker.module.seed(&place.session, part);
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
    pub(super) fn inject_after_a_look(
        &mut self,
        worker: &Arc<Worker>,
        pulse: &Pulse<'_>,
        mut place: Place,
        job: SeedJob,
    ) {
        if place.looked_at.elapsed() >= worker.look_again_after {
            if let Err(failure) = look_again(worker, pulse, &place) {
                // What the others know of the slots may be as old.
                worker.finder.forget();
                let purpose = Purpose::Seed(job);
                return self.give_up(worker, pulse, Entry { place, purpose }, failure);
            }
            place.looked_at = Instant::now();
        }
        self.inject(worker, pulse, place, job);
    }

    /// Injects a seed. A session or a login that was lost is renewed, once each, and the seed goes
    /// on where it stopped: into the same token or nowhere, and no chunk twice.
    pub(super) fn inject(
        &mut self,
        worker: &Arc<Worker>,
        pulse: &Pulse<'_>,
        place: Place,
        mut job: SeedJob,
    ) {
        let Err(failure) = job.mix_in(worker, pulse, &place) else {
            self.phase = Phase::Open(place);
            return worker.link.send(&job.done(self.id));
        };
        match failure.class {
            FailureClass::SessionLost if !job.reopened => {
                job.reopened = true;
                self.reopen(worker, pulse, place, job);
            }
            FailureClass::SessionLost => {
                let purpose = Purpose::Seed(job);
                self.give_up(worker, pulse, Entry { place, purpose }, failure);
            }
            FailureClass::NotLoggedIn if place.login.is_some() && !job.logged_in_again => {
                job.logged_in_again = true;
                self.log_in_again(worker, pulse, place, job);
            }
            _ => {
                self.phase = Phase::Open(place);
                worker.link.send(&job.failed(self.id, failure, true));
            }
        }
    }

    /// Opens a new session with the same token, in the place of one that is gone.
    fn reopen(&mut self, worker: &Arc<Worker>, pulse: &Pulse<'_>, place: Place, job: SeedJob) {
        // Without a logout: other partitions may hold the login, and this session is gone.
        worker.logins().leave(place.slot.id(), self.id);
        pulse.beat();
        // Where the module was mistaken, the old session must not take room in its table.
        let Place {
            session,
            slot,
            token,
            how,
            ..
        } = place;
        worker.module.close(session);
        pulse.beat();
        let purpose = Purpose::Seed(job);
        let session = match worker.module.open(slot, needs_read_write(how.login)) {
            Ok(session) => session,
            Err(failure) => return self.report_closed(worker, &purpose, failure),
        };
        let place = Place {
            session,
            slot,
            token,
            looked_at: Instant::now(),
            login: None,
            how,
        };
        let entry = Entry { place, purpose };
        match look_again(worker, pulse, &entry.place) {
            Ok(_) => self.enter(worker, pulse, entry),
            Err(failure) => self.give_up(worker, pulse, entry, failure),
        }
    }

    fn log_in_again(
        &mut self,
        worker: &Arc<Worker>,
        pulse: &Pulse<'_>,
        mut place: Place,
        job: SeedJob,
    ) {
        if let Some(login) = place.login.take() {
            worker.logins().lost(place.slot.id(), login);
        }
        let purpose = Purpose::Seed(job);
        self.enter(worker, pulse, Entry { place, purpose });
    }
}
