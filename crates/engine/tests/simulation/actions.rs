//! The world carries out what the engine decides, and judges it.

use std::collections::BTreeSet;
use std::time::Duration;

use qseed_engine::{
    Action, Combine, Event, Fact, Intent, JobId, Limits, PartitionFact, PartitionId, Portion,
    RequestId, Shape, SourceId, TokenFault, WorkerId, WorkerRole,
};
use qseed_entropy::{Entropy, Seed};
use qseed_model::pins::{HeldBack, PinTag};

use crate::Checked;
use crate::faults::ModuleTrouble;
use crate::health::name_of;
use crate::pins::Presenter;
use crate::processes::Stage;
use crate::scenario::{HOUR, MINUTE, SECOND};
use crate::service::{Answer, Exchange};
use crate::tokens::Step;
use crate::world::{Happening, World, Write};

/// Partitions that are due this soon may be asked for together with those that are.
const SOON: Duration = Duration::from_millis(200);

impl World {
    pub(crate) fn act(&mut self, action: Action) -> Checked {
        match action {
            Action::Fetch {
                source,
                request,
                shape,
                spare_attempt,
            } => self.fetch(source, request, shape, spare_attempt),
            Action::StartWorker { worker, module } => self.starts(worker, module),
            Action::EndWorker { worker, kill } => self.end_worker(worker, kill),
            Action::Open { worker, partition } => self.open(worker, partition),
            Action::Close { worker, partition } => {
                if let Some(process) = self.processes.get_mut(&worker) {
                    process.sessions.remove(&partition);
                }
                Ok(())
            }
            Action::Seed {
                worker,
                partition,
                job,
                seed,
                made_of,
            } => {
                self.check_seed((partition, job), &seed, &made_of.portions)?;
                let Some(serial) = self.operate(worker, partition, Some(job))? else {
                    return Ok(());
                };
                if !self.processes[&worker].sessions.contains_key(&partition) {
                    return Err(format!("{partition:?} is seeded without a session"));
                }
                self.calls(worker, partition, serial, Step::Injects)
            }
            Action::RecordIntent {
                partition,
                injection,
            } => self.intend(partition, &injection),
            Action::PresentPin { partition, tags } => {
                self.will_write(Write::Present(partition, tags));
                Ok(())
            }
            Action::RecordPin { tag, answer, .. } => {
                self.will_write(Write::Record(tag, answer));
                Ok(())
            }
            Action::Verdict {
                worker,
                partition,
                ask,
                held_back,
            } => self.verdict(worker, partition, ask, held_back),
        }
    }

    fn fetch(
        &mut self,
        source: SourceId,
        request: RequestId,
        shape: Shape,
        spare: bool,
    ) -> Checked {
        self.summary.fetches += 1;
        let others = self.services.iter().filter(|(id, _)| **id != source);
        let heard: Vec<_> = others
            .flat_map(|(_, service)| service.delivered.iter().cloned())
            .collect();
        let Some(service) = self.services.get_mut(&source) else {
            return Err(format!("{source:?} is not configured"));
        };
        if !service.limits.allow(shape) || shape.bytes() == 0 {
            return Err(format!("{shape:?} is beyond {:?}", service.limits));
        }
        let Exchange {
            arrivals,
            takes,
            answer,
        } = service.exchange(&mut self.dice, shape, spare, &heard);
        self.check_need(source, request, shape)?;
        let sent = u32::try_from(arrivals.len()).expect("two at most");
        for arrival in arrivals {
            self.after(arrival, Happening::Arrives(source, request));
        }
        self.after(takes, Happening::Answers(source, request, answer, sent));
        Ok(())
    }

    /// P7: never more bytes than the next seeds and the reserve need.
    fn check_need(&mut self, source: SourceId, request: RequestId, shape: Shape) -> Checked {
        let alone = self.settings.combine == Combine::Xor || self.services.len() == 1;
        let together: BTreeSet<_> = if alone {
            [source].into()
        } else {
            self.services.keys().copied().collect()
        };
        let mut needed = self.cadence.bytes_due(self.now + SOON) + self.reserve_target();
        let mut held = 0;
        for id in &together {
            let service = &self.services[id];
            // What is asked for in whole kibibytes or at least so much; what starts up; a seed's
            // bytes to try one that failed.
            needed += most_left_over(service.limits);
            needed += service.settings.startup_bytes as usize;
            if !alone {
                needed += self.cadence.smallest();
            }
            let view = self
                .engine
                .sources()
                .find(|view| view.id == *id)
                .ok_or("a source that is asked is known")?;
            held += usize::try_from(view.reserved).expect("less than the memory");
        }
        let bytes = shape.bytes();
        self.bytes
            .ask(source, request, bytes, needed, held, &together)
    }

    fn reserve_target(&self) -> usize {
        let Some(reserve) = self.settings.reserve else {
            return 0;
        };
        let of_one = |period: Duration, size: usize| {
            let seeds = reserve.cover.as_millis().div_ceil(period.as_millis());
            size * usize::try_from(seeds).expect("a day of seconds at most")
        };
        let partitions = self.settings.partitions.iter();
        partitions.map(|p| of_one(p.period, p.size)).sum()
    }

    pub(crate) fn answers(
        &mut self,
        source: SourceId,
        request: RequestId,
        mut answer: Answer,
        sent: u32,
    ) -> Checked {
        self.bytes.answered(source, request);
        let abandoned = self.abandoned.remove(&request);
        if let Some(service) = self.services.get_mut(&source) {
            service.answered(self.now, sent, &mut answer);
        }
        // The task that asked is gone; now and then its last word still comes.
        if abandoned && self.dice.one_in(2) {
            return Ok(());
        }
        match answer {
            Answer::Delivers {
                block_size,
                bytes,
                lie,
            } => {
                self.summary.lies += u64::from(lie);
                if !abandoned {
                    if let Some(service) = self.services.get_mut(&source)
                        && !lie
                    {
                        service.remember(block_size, &bytes);
                    }
                    self.bytes
                        .delivered(source, request, self.now, bytes.clone(), lie);
                }
                self.tell(Event::Fetched {
                    source,
                    request,
                    entropy: Entropy::new(bytes),
                    sent,
                })
            }
            Answer::Fails(failure) => self.tell(Event::FetchFailed {
                source,
                request,
                failure,
            }),
        }
    }

    /// A seed leaves: it must be exact, and made of what it says.
    fn check_seed(
        &mut self,
        (partition, job): (PartitionId, JobId),
        seed: &Seed,
        made_of: &[Portion],
    ) -> Checked {
        let size = self.size_of(partition)?;
        let expected = if self.settings.record_first {
            self.ledger.leaves(Intent { partition, job })?
        } else {
            self.bytes.seed(self.now, &self.settings, size, made_of)?
        };
        if seed.len() != size {
            return Err(format!("P1: {} bytes instead of {size}", seed.len()));
        }
        if seed.expose() != expected {
            return Err(format!("P1: the seed is not what {made_of:?} delivered"));
        }
        Ok(())
    }

    pub(crate) fn size_of(&self, partition: PartitionId) -> Result<usize, String> {
        let settings = self.settings.partitions.iter().find(|p| p.id == partition);
        let settings = settings.ok_or("a partition is seeded that is not configured")?;
        Ok(settings.size)
    }

    fn open(&mut self, worker: WorkerId, partition: PartitionId) -> Checked {
        if !self.settings.partitions.iter().any(|p| p.id == partition) {
            return Err(format!("{partition:?} is not configured"));
        }
        let Some(serial) = self.operate(worker, partition, None)? else {
            return Ok(());
        };
        if self.processes[&worker].sessions.contains_key(&partition) {
            return Err(format!("{partition:?} is opened twice"));
        }
        self.calls(worker, partition, serial, Step::Finds)
    }

    fn end_worker(&mut self, worker: WorkerId, kill: bool) -> Checked {
        if self.gone.contains(&worker) {
            return Err(format!("{worker:?} is gone, and the engine knows"));
        }
        let trouble = self
            .processes
            .get(&worker)
            .and_then(|process| self.module_troubles.get(&process.module).copied());
        let takes = match trouble {
            Some(ModuleTrouble::SurvivesKill) if kill => self.dice.magnitude(SECOND, 10 * MINUTE),
            _ if kill => self
                .dice
                .duration(Duration::ZERO, Duration::from_millis(50)),
            _ => self.dice.magnitude(Duration::from_millis(1), 8 * SECOND),
        };
        self.disturb_members(worker, self.now + takes)?;
        let Some(process) = self.processes.get_mut(&worker) else {
            return Err(format!("{worker:?} was never started"));
        };
        let stage = if kill { Stage::Killed } else { Stage::Ends };
        process.stage = process.stage.max(stage);
        let operations = process.operations.iter();
        let hung: Vec<_> = operations
            .filter(|(_, operation)| kill && operation.hangs)
            .map(|(id, _)| *id)
            .collect();
        if kill || trouble != Some(ModuleTrouble::IgnoresEnd) {
            self.after(takes, Happening::Dies(worker));
        }
        for id in hung {
            if let Some(token) = self.reaches.get(&id).map(|reach| reach.token) {
                self.took_down(worker, token)?;
            }
        }
        self.look_at_all_tokens()
    }

    fn will_write(&mut self, write: Write) {
        self.writes.push_back(write);
        if self.writes.len() == 1 {
            let takes = self
                .dice
                .magnitude(Duration::from_micros(50), Duration::from_millis(20));
            self.after(takes, Happening::Writes);
        }
    }

    /// The disk is done: what queued up shared one sync.
    pub(crate) fn write(&mut self) -> Checked {
        let writes = std::mem::take(&mut self.writes);
        let judged: Vec<_> = writes
            .into_iter()
            .filter_map(|write| self.write_one(&write))
            .collect();
        for (tag, held_back) in judged {
            self.look_at_device(tag)?;
            self.tell(Event::PinJudged { tag, held_back })?;
        }
        Ok(())
    }

    pub(crate) fn write_one(&mut self, write: &Write) -> Option<(PinTag, Option<HeldBack>)> {
        let works = self.disk_works;
        match *write {
            Write::Present(partition, tags) => {
                let name = name_of(partition);
                Some((tags.tag, self.pins.judge(&name, &tags, None, works)))
            }
            Write::Record(tag, answer) => {
                self.pins.record(tag, answer, works);
                None
            }
        }
    }

    fn verdict(
        &mut self,
        worker: WorkerId,
        partition: PartitionId,
        ask: u64,
        held_back: Option<HeldBack>,
    ) -> Checked {
        let Some(tags) = self.asked.remove(&ask) else {
            return Err(format!("a verdict that nobody asked for: {partition:?}"));
        };
        let alive = self
            .processes
            .get(&worker)
            .filter(|process| process.acts())
            .and_then(|process| process.operations.get(&partition))
            .is_some_and(|operation| operation.serial == ask);
        if let Some(reason) = held_back {
            self.summary.held_back += 1;
            if alive {
                self.pins.held(&tags, reason, self.disk_works)?;
                if reason == HeldBack::DeviceInDoubt {
                    self.call_operator(partition);
                }
                self.fails(worker, partition, TokenFault::of_held(reason));
            }
            return Ok(());
        }
        self.summary.presentations += 1;
        if alive {
            self.pins.alone_at_risk(tags.tag, worker)?;
            let by = Presenter::Worker(worker, partition);
            self.pins.present(tags.tag, by)?;
            return self.calls(worker, partition, ask, Step::Judges);
        }
        // It has just died, which the engine cannot know: it may have been presented.
        self.pins.told_the_dead(tags.tag);
        self.look_at_all_tokens()
    }

    /// The operator reads the log.
    pub(crate) fn reads(&mut self, news: &Fact) {
        match news {
            Fact::Partition(
                _,
                PartitionFact::Moved {
                    to: WorkerRole::Quarantine,
                    ..
                },
            ) => self.summary.quarantined += 1,
            Fact::Partition(partition, PartitionFact::Failed { failure, .. })
                if matches!(failure.fault, TokenFault::PinRefused | TokenFault::PinHeld) =>
            {
                self.call_operator(partition.id);
            }
            _ => {}
        }
    }

    fn call_operator(&mut self, partition: PartitionId) {
        let Some(reach) = self.reaches.get(&partition) else {
            return;
        };
        let token = reach.token;
        if !std::mem::replace(&mut self.tokens[token].operator_comes, true) {
            let wait = self.dice.magnitude(MINUTE, 6 * HOUR);
            self.after_in_any_case(wait, Happening::Mends(token));
        }
    }
}

/// The bytes that a request may bring beyond those that are needed.
fn most_left_over(limits: Limits) -> usize {
    if (limits.min_size, limits.min_count) == (1, 1) {
        return 0;
    }
    (limits.min_size * limits.min_count).max(limits.max_size) as usize - 1
}
