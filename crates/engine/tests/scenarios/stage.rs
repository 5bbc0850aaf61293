//! The stage on which a story plays: it carries out what the engine decides.

use std::time::Duration;

use qseed_engine::guard::PinRecord;
use qseed_engine::{
    Action, CallEvent, Event, FetchFailure, FetchFault, Intent, JobId, PartitionId, RequestId,
    Shape, SourceId, TokenFailure, TokenFault, WorkerId,
};
use qseed_entropy::Entropy;
use qseed_model::pins::{HeldBack, PinAnswer, PinTag, PinTags};

use crate::story::{Call, DAEMON, Did, Ledger, Source, Story, secs};

impl Story {
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Fetch {
                source,
                request,
                shape,
                ..
            } => self.fetch(source, request, shape),
            Action::StartWorker { worker, .. } => {
                self.did(Did::Start(worker));
                let ready = Event::WorkerReady(worker);
                self.later(Duration::from_millis(10), Some(worker), ready);
            }
            Action::EndWorker { worker, kill } => {
                self.did(Did::End(worker, kill));
                let takes = if kill || self.ends_at_once {
                    Duration::from_millis(1)
                } else {
                    secs(3)
                };
                self.exits(worker, takes);
            }
            Action::Open { worker, partition } => {
                self.did(Did::Open(partition));
                self.open(worker, partition);
            }
            Action::Close { .. } => {}
            Action::Seed {
                worker,
                partition,
                job,
                made_of,
                ..
            } => {
                self.did(Did::Seed(partition, made_of));
                let call = self.seeding.get(&partition).copied();
                self.end(worker, partition, Some(job), call.unwrap_or(Call::Works));
            }
            Action::RecordIntent {
                partition,
                injection,
            } => {
                let job = injection.job;
                self.did(Did::Intend(partition));
                let recorded = self.ledger != Ledger::Fails;
                let intents = vec![Intent { partition, job }];
                if self.ledger == Ledger::Hangs {
                    self.unrecorded.extend(intents);
                } else {
                    let event = Event::IntentsRecorded { intents, recorded };
                    self.later(self.ledger_takes, None, event);
                }
            }
            Action::PresentPin { partition, tags } => self.present(partition, &tags),
            Action::RecordPin { tag, answer, .. } => self.record(tag, answer),
            Action::Verdict {
                worker,
                partition,
                held_back,
                ..
            } => self.verdict(worker, partition, held_back),
        }
    }

    fn fetch(&mut self, source: SourceId, request: RequestId, shape: Shape) {
        self.did(Did::Ask(source, shape.bytes()));
        self.delivered += 1;
        let answer = self.sources.get(&source).copied();
        let fails = |kind, code, retry_after| Event::FetchFailed {
            source,
            request,
            failure: FetchFailure {
                kind,
                code,
                text: code.to_owned(),
                retry_after,
                sent: 1,
                secret_changed: false,
            },
        };
        let (wait, event) = match answer.unwrap_or(Source::Delivers(50)) {
            Source::Fails(kind, retry_after) => {
                (Duration::ZERO, fails(kind, "failed", retry_after))
            }
            Source::Hangs => (secs(10), fails(FetchFault::Transient, "hung", None)),
            Source::Lies => {
                let entropy = Entropy::new(vec![0; shape.bytes()]);
                (Duration::ZERO, delivers(source, request, entropy))
            }
            Source::Delivers(after) => {
                let entropy = Entropy::new(distinct(self.delivered, shape.bytes()));
                let event = delivers(source, request, entropy);
                (Duration::from_millis(after), event)
            }
            Source::Repeats(number) => {
                let entropy = Entropy::new(distinct(number, shape.bytes()));
                let event = delivers(source, request, entropy);
                (Duration::from_millis(50), event)
            }
        };
        self.later(wait, None, event);
    }

    fn open(&mut self, worker: WorkerId, partition: PartitionId) {
        let call = self.opening.get(&partition).copied().unwrap_or(Call::Works);
        match self.logins.get(&partition) {
            Some(login) if call == Call::Works => {
                let asked = Event::Call {
                    worker,
                    partition,
                    event: CallEvent::PinAsked {
                        ask: 0,
                        tags: login.tags,
                    },
                };
                self.later(Duration::from_millis(1), Some(worker), asked);
            }
            _ => self.end(worker, partition, None, call),
        }
    }

    fn verdict(&mut self, worker: WorkerId, partition: PartitionId, held: Option<HeldBack>) {
        let login = self.logins[&partition];
        if let Some(reason) = held {
            self.did(Did::Hold(login.tags.tag, reason));
            self.end(worker, partition, None, Call::Fails(TokenFault::PinHeld));
            return;
        }
        self.did(Did::Present(login.tags.tag));
        if login.dies {
            self.exits(worker, Duration::from_millis(1));
            return;
        }
        let answer = login.answer;
        let answered = Event::Call {
            worker,
            partition,
            event: CallEvent::PinAnswered { answer, text: None },
        };
        self.later(secs(1), Some(worker), answered);
        let call = match answer {
            PinAnswer::Accepted | PinAnswer::NotJudged => Call::Works,
            PinAnswer::Refused => Call::Fails(TokenFault::PinRefused),
            PinAnswer::Unclear => Call::Fails(TokenFault::Device),
        };
        // After the answer, which takes a second.
        self.end_after(secs(1), worker, partition, None, call);
    }

    fn present(&mut self, partition: PartitionId, tags: &PinTags) {
        let name = format!("partition{}", partition.0);
        let judged = if self.disk_works {
            self.disk.judge(tags, &name, DAEMON, |_| true)
        } else {
            Err(HeldBack::NotRecorded)
        };
        let held_back = judged.map(|record| self.write(record)).err();
        let tag = tags.tag;
        let judged = Event::PinJudged { tag, held_back };
        self.later(self.disk_takes, None, judged);
    }

    fn record(&mut self, tag: PinTag, answer: PinAnswer) {
        let record = self.disk.answered(tag, answer);
        if let Some(record) = record.filter(|_| self.disk_works) {
            self.write(record);
        }
    }

    fn write(&mut self, record: PinRecord) {
        self.did(Did::Record(record.tag, record.standing));
        self.disk.put(record);
    }

    fn end(&mut self, worker: WorkerId, id: PartitionId, job: Option<JobId>, call: Call) {
        self.end_after(Duration::from_millis(1), worker, id, job, call);
    }

    fn end_after(
        &mut self,
        wait: Duration,
        worker: WorkerId,
        partition: PartitionId,
        job: Option<JobId>,
        call: Call,
    ) {
        let (wait, fault) = match call {
            Call::Works => (wait, None),
            Call::Fails(fault) => (wait, Some(fault)),
            Call::FailsSlowly(fault) => (secs(20), Some(fault)),
            Call::WorksAfter(seconds) => (secs(seconds), None),
            Call::Hangs => return,
            Call::CrashesWorker => {
                self.exits(worker, Duration::from_millis(1));
                return;
            }
        };
        let failure = fault.map(|fault| TokenFailure {
            fault,
            text: "it failed".to_owned(),
            returned: None,
        });
        let event = match (job, failure) {
            (None, None) => Event::Call {
                worker,
                partition,
                event: CallEvent::Opened(Ok(())),
            },
            (None, Some(failure)) => Event::Call {
                worker,
                partition,
                event: CallEvent::Opened(Err(failure)),
            },
            (Some(job), None) => Event::Call {
                worker,
                partition,
                event: CallEvent::Seeded {
                    job,
                    result: Ok(()),
                },
            },
            (Some(job), Some(failure)) => Event::Call {
                worker,
                partition,
                event: CallEvent::Seeded {
                    job,
                    result: Err(failure),
                },
            },
        };
        self.later(wait, Some(worker), event);
    }

    /// A worker's process ends after a while.
    pub(crate) fn exits(&mut self, worker: WorkerId, wait: Duration) {
        let text = "it is gone".to_owned();
        self.later(wait, Some(worker), Event::WorkerExited { worker, text });
    }
}

fn delivers(source: SourceId, request: RequestId, entropy: Entropy) -> Event {
    Event::Fetched {
        source,
        request,
        entropy,
        sent: 1,
    }
}

/// Bytes that no check objects to, others for each number.
fn distinct(number: u64, count: usize) -> Vec<u8> {
    let mut state = number;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect()
}
