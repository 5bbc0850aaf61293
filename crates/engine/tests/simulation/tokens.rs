//! Tokens, and what calls on them come to.

use qseed_engine::{CallEvent, Event, JobId, PartitionId, TokenFailure, TokenFault, WorkerId};
use qseed_model::pins::{DevicePinTag, DeviceTag, KeyTag, PinAnswer, PinTag, PinTags, TokenTag};

use std::time::Duration;

use crate::Checked;
use crate::faults::TokenTrouble;
use crate::scenario::SECOND;
use crate::world::{Happening, World};

/// A step of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// It says that it goes on with its next call.
    Progress,
    /// The token is found, or not.
    Finds,
    /// The token judges the PIN.
    Judges,
    /// The token took the seed, or not.
    Injects,
    /// The call comes back after a long time with an error.
    FailsSlowly,
}

impl World {
    /// The next step of an operation comes when the token's call does, if it does.
    pub(crate) fn calls(
        &mut self,
        worker: WorkerId,
        id: PartitionId,
        serial: u64,
        step: Step,
    ) -> Checked {
        let Some(reach) = self.reaches.get(&id) else {
            return Ok(());
        };
        let token = reach.token;
        let latency = self.tokens[token].latency;
        let trouble = match (self.tokens[token].trouble, step) {
            (Some(TokenTrouble::LoginHangs), Step::Judges) => Some(TokenTrouble::Hangs),
            (Some(TokenTrouble::LoginCrashesModule), Step::Judges) => {
                Some(TokenTrouble::CrashesModule)
            }
            (Some(TokenTrouble::SeedingFailsSlowly), Step::Injects) => {
                Some(TokenTrouble::FailsSlowly)
            }
            (trouble, _) => trouble,
        };
        match trouble {
            Some(TokenTrouble::Hangs) => {
                if let Some(process) = self.processes.get_mut(&worker)
                    && let Some(operation) = process.operations.get_mut(&id)
                {
                    operation.hangs = true;
                }
            }
            Some(TokenTrouble::CrashesModule) => {
                self.took_down(worker, token)?;
                self.dies(worker);
            }
            Some(TokenTrouble::FailsSlowly) => {
                let deadline = self.deadline_of(worker);
                for part in 1..4 {
                    let goes = Happening::Goes(worker, id, serial, Step::Progress);
                    self.after(deadline * part / 4, goes);
                }
                let fails = Happening::Goes(worker, id, serial, Step::FailsSlowly);
                self.after((deadline * 6 / 5).min(20 * SECOND), fails);
            }
            Some(TokenTrouble::SeedsSlowly) if matches!(step, Step::Injects) => {
                let longest = (self.deadline_of(worker) * 3 / 4).min(20 * SECOND);
                let takes = self.dice.duration(longest / 8, longest);
                self.after(takes, Happening::Goes(worker, id, serial, step));
            }
            _ => {
                let takes = self.dice.duration(latency / 2, latency);
                self.after(takes, Happening::Goes(worker, id, serial, step));
            }
        }
        Ok(())
    }

    fn deadline_of(&self, worker: WorkerId) -> Duration {
        let module = self.processes.get(&worker).map(|process| process.module);
        let settings = self.settings.modules.iter();
        let mut settings = settings.filter(|settings| Some(settings.id) == module);
        settings
            .next()
            .map_or(5 * SECOND, |settings| settings.deadline)
    }

    pub(crate) fn goes(
        &mut self,
        worker: WorkerId,
        id: PartitionId,
        serial: u64,
        step: Step,
    ) -> Checked {
        let operation = self
            .processes
            .get(&worker)
            .filter(|process| process.acts())
            .and_then(|process| process.operations.get(&id))
            .filter(|operation| operation.serial == serial && !operation.hangs);
        let Some(operation) = operation else {
            return Ok(());
        };
        let (job, tag) = (operation.job, operation.tag);
        match step {
            Step::Progress => {
                let partition = id;
                self.says(
                    worker,
                    Event::Call {
                        worker,
                        partition,
                        event: CallEvent::Progress,
                    },
                );
                Ok(())
            }
            Step::Finds => {
                self.finds(worker, id, serial);
                Ok(())
            }
            Step::Judges => match tag {
                Some(tag) => {
                    self.judges(worker, id, tag);
                    Ok(())
                }
                None => Err("a PIN is judged that nobody presents".to_owned()),
            },
            Step::Injects => self.injects(worker, id, job),
            Step::FailsSlowly => {
                self.unclear_if_presenting(worker, id, tag);
                self.fails(worker, id, TokenFault::Device);
                Ok(())
            }
        }
    }

    /// An error in the middle of a login says nothing about the PIN.
    fn unclear_if_presenting(
        &mut self,
        worker: WorkerId,
        partition: PartitionId,
        tag: Option<PinTag>,
    ) {
        if tag.is_some() {
            let answer = PinAnswer::Unclear;
            self.says(
                worker,
                Event::Call {
                    worker,
                    partition,
                    event: CallEvent::PinAnswered { answer, text: None },
                },
            );
        }
    }

    fn finds(&mut self, worker: WorkerId, id: PartitionId, serial: u64) {
        // A partition that is no longer configured: the worker finds it all the same.
        let Some(reach) = self.reaches.get(&id).cloned() else {
            self.fails(worker, id, TokenFault::Missing);
            return;
        };
        let trouble = self.tokens[reach.token].trouble;
        match trouble {
            Some(TokenTrouble::Missing) => self.fails(worker, id, TokenFault::Missing),
            Some(TokenTrouble::OpeningFails(fault)) => self.fails(worker, id, fault),
            _ if reach.login && !self.is_logged_in(worker, reach.token) => {
                let tags = tags_of(reach.token, reach.pin);
                self.asked.insert(serial, tags);
                let process = self.processes.get_mut(&worker);
                if let Some(operation) = process.and_then(|p| p.operations.get_mut(&id)) {
                    operation.tag = Some(tags.tag);
                }
                let asked = Event::Call {
                    worker,
                    partition: id,
                    event: CallEvent::PinAsked { ask: serial, tags },
                };
                self.says(worker, asked);
            }
            _ => self.opens(worker, id),
        }
    }

    /// Sometimes a worker asks although it is logged in: the token then does not judge the PIN.
    fn is_logged_in(&mut self, worker: WorkerId, token: usize) -> bool {
        let process = self.processes.get(&worker);
        process.is_some_and(|process| process.logged_in.contains(&token)) && !self.dice.one_in(4)
    }

    fn judges(&mut self, worker: WorkerId, partition: PartitionId, tag: PinTag) {
        let Some(reach) = self.reaches.get(&partition).cloned() else {
            return;
        };
        let token = &self.tokens[reach.token];
        let right = tag == tags_of(reach.token, token.pin).tag;
        let unclear = token.trouble == Some(TokenTrouble::LoginIsUnclear);
        let Some(process) = self.processes.get_mut(&worker) else {
            return;
        };
        let answer = if process.logged_in.contains(&reach.token) {
            PinAnswer::NotJudged
        } else if unclear {
            PinAnswer::Unclear
        } else if right {
            process.logged_in.insert(reach.token);
            PinAnswer::Accepted
        } else {
            self.summary.refusals += 1;
            PinAnswer::Refused
        };
        self.says(
            worker,
            Event::Call {
                worker,
                partition,
                event: CallEvent::PinAnswered { answer, text: None },
            },
        );
        match answer {
            PinAnswer::Accepted | PinAnswer::NotJudged => self.opens(worker, partition),
            PinAnswer::Refused => self.fails(worker, partition, TokenFault::PinRefused),
            PinAnswer::Unclear => self.fails(worker, partition, TokenFault::Device),
        }
    }

    fn opens(&mut self, worker: WorkerId, partition: PartitionId) {
        let generation = self
            .reaches
            .get(&partition)
            .map_or(0, |reach| self.tokens[reach.token].generation);
        if let Some(process) = self.processes.get_mut(&worker) {
            process.operations.remove(&partition);
            process.sessions.insert(partition, generation);
        }
        self.says(
            worker,
            Event::Call {
                worker,
                partition,
                event: CallEvent::Opened(Ok(())),
            },
        );
    }

    fn injects(&mut self, worker: WorkerId, partition: PartitionId, job: Option<JobId>) -> Checked {
        let Some(job) = job else {
            return Err("a seed is injected by an opening".to_owned());
        };
        let token = self
            .reaches
            .get(&partition)
            .map(|reach| &self.tokens[reach.token]);
        let process = self.processes.get(&worker);
        let session = process.and_then(|process| process.sessions.get(&partition));
        let fault = match token.and_then(|token| token.trouble) {
            Some(TokenTrouble::SeedingFails(fault)) => Some(fault),
            Some(TokenTrouble::Missing) => Some(TokenFault::Device),
            _ => (session != token.map(|token| &token.generation)).then_some(TokenFault::Device),
        };
        if let Some(fault) = fault {
            self.fails(worker, partition, fault);
            return Ok(());
        }
        if let Some(process) = self.processes.get_mut(&worker) {
            process.operations.remove(&partition);
        }
        self.says(
            worker,
            Event::Call {
                worker,
                partition,
                event: CallEvent::Seeded {
                    job,
                    result: Ok(()),
                },
            },
        );
        Ok(())
    }

    pub(crate) fn fails(&mut self, worker: WorkerId, partition: PartitionId, fault: TokenFault) {
        let process = self.processes.get_mut(&worker);
        let Some(operation) = process.and_then(|p| p.operations.remove(&partition)) else {
            return;
        };
        let text = format!("{fault:?}");
        let failure = TokenFailure {
            fault,
            text,
            returned: None,
        };
        let event = match operation.job {
            Some(job) => Event::Call {
                worker,
                partition,
                event: CallEvent::Seeded {
                    job,
                    result: Err(failure),
                },
            },
            None => Event::Call {
                worker,
                partition,
                event: CallEvent::Opened(Err(failure)),
            },
        };
        self.says(worker, event);
    }
}

/// The worker's digests of a token's PIN. Each two tokens are one device.
pub(crate) fn tags_of(token: usize, pin: u64) -> PinTags {
    let token = token as u64;
    let half = |number: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    let mut tag = [0; 32];
    tag[..8].copy_from_slice(&token.to_le_bytes());
    tag[8..16].copy_from_slice(&pin.to_le_bytes());
    PinTags {
        tag: PinTag(tag),
        at_device: DevicePinTag(half(pin)),
        token: TokenTag(half(token)),
        device: DeviceTag(half(token / 2)),
        key: KeyTag([0; 16]),
    }
}

/// The token of a PIN.
pub(crate) fn token_of(tag: PinTag) -> usize {
    let mut number = [0; 8];
    number.copy_from_slice(&tag.0[..8]);
    usize::try_from(u64::from_le_bytes(number)).expect("a token's number")
}
