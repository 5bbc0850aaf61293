//! The state machine: events in, decisions, actions out.

mod configure;
mod deadlines;
mod dispatch;
mod once;
mod partitions;
mod pins;
mod quarantine;
mod standing;
#[cfg(test)]
mod steps;
mod trust;
mod views;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use qseed_model::pins::PinTag;

use crate::action::Action;
use crate::event::Event;
use crate::fact::{Fact, Process};
use crate::guard::Pins;
use crate::ids::{JobId, ModuleId, Named, SourceId, WorkerId, WorkerKey};
use crate::partitions::Partitions;
use crate::random::Random;
use crate::settings::{ModuleSettings, Settings};
use crate::sources::{Demand, Sources};
use crate::time::Moment;
use crate::timers::{Timer, Timers};
use crate::turn::Turn;
use crate::worker::Worker;

use standing::Tally;

/// What an engine starts from.
#[derive(Debug)]
pub struct Start {
    /// The configuration.
    pub settings: Settings,
    /// The time.
    pub now: Moment,
    /// Where jitter and the keys of digests come from. The same events with the same number lead
    /// to the same actions.
    pub seed: u64,
    /// The PINs that their tokens accepted last, by the guard's file.
    pub good_pins: Vec<PinTag>,
    /// Whether each partition is seeded once and then left alone.
    pub once: bool,
    /// The time since each request that earlier processes sent to a source: rate limits hold over
    /// restarts.
    pub sent_before: Vec<(SourceId, Vec<Duration>)>,
}

/// Decides what qseed does. See the crate's documentation.
#[derive(Debug)]
pub struct Engine {
    now: Moment,
    random: Random,
    sources: Sources,
    modules: BTreeMap<ModuleId, ModuleSettings>,
    workers: BTreeMap<WorkerKey, Worker>,
    lives: BTreeMap<WorkerId, WorkerKey>,
    partitions: Partitions,
    tally: Tally,
    pins: Pins,
    timers: Timers,
    actions: VecDeque<Action>,
    facts: VecDeque<Fact>,
    lives_begun: u64,
    jobs_made: u64,
    /// The bytes that partitions which are due and open wait for.
    ready_bytes: usize,
    /// Whether each partition is seeded once and then left alone.
    once: bool,
    /// Partitions that are still to be seeded once.
    unfinished: usize,
}

impl Engine {
    /// An engine that has its first actions ready.
    #[must_use]
    pub fn new(start: Start) -> Self {
        let mut random = Random::new(start.seed);
        let mut engine = Self {
            now: start.now,
            sources: Sources::new(random.next()),
            random,
            modules: BTreeMap::new(),
            workers: BTreeMap::new(),
            lives: BTreeMap::new(),
            partitions: Partitions::default(),
            tally: Tally::default(),
            pins: Pins::new(start.good_pins),
            timers: Timers::default(),
            actions: VecDeque::new(),
            facts: VecDeque::new(),
            lives_begun: 0,
            jobs_made: 0,
            ready_bytes: 0,
            once: start.once,
            unfinished: 0,
        };
        engine.configure(start.settings);
        engine.sources.restore(start.now, start.sent_before);
        engine.settle();
        engine
    }

    /// Takes in what happened at `now`. A time before that of the last event counts as that one.
    pub fn handle(&mut self, now: Moment, event: Event) {
        self.now = self.now.max(now);
        if self.admit(&event) {
            self.apply(event);
        }
        while let Some(timer) = self.timers.pop(self.now) {
            self.wake_up(timer);
        }
        self.settle();
    }

    /// The next thing to be done.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing that happened.
    pub fn next_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// When the engine wants a `Tick`, if nothing happens before.
    #[must_use]
    pub fn wake(&self) -> Option<Moment> {
        self.timers.next()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Fetched {
                source,
                request,
                entropy,
                sent,
            } => {
                let before = self.sources.available();
                let (sources, mut turn) = self.with_sources();
                sources.fetched(&mut turn, source, request, entropy, sent);
                let available = self.sources.available();
                if available > before && self.ready_bytes > available {
                    self.sort_by_urgency();
                }
            }
            Event::FetchFailed {
                source,
                request,
                failure,
            } => {
                let (sources, mut turn) = self.with_sources();
                sources.fetch_failed(&mut turn, source, request, failure);
            }
            Event::LimitsLearnt { source, limits } => self.sources.set_limits(source, limits),
            Event::Budget {
                source,
                spent,
                limit,
            } => {
                let (sources, mut turn) = self.with_sources();
                sources.set_budget(&mut turn, source, spent, limit);
            }
            Event::SourceSecretChanged(source) => self.sources.secret_changed(source),
            Event::PinChanged(partition) => self.look_at_once(partition),
            Event::WorkerReady(worker) => self.worker_ready(worker),
            Event::WorkerFailed { worker, text } => self.worker_failed(worker, text),
            Event::WorkerMisbehaves { worker, text } => {
                if let Some((key, _)) = self.current(worker) {
                    self.worker_misbehaves(key, text);
                }
            }
            Event::WorkerExited { worker, text } => self.worker_exited(worker, text),
            Event::Progress { worker, partition } => self.call_goes_on(worker, partition),
            Event::Waits { worker, partition } => {
                self.set_call_deadline(worker, partition, false);
            }
            Event::PinAsked {
                worker,
                partition,
                ask,
                tags,
            } => {
                self.pin_asked(worker, partition, ask, tags);
            }
            Event::PinJudged { tag, held_back } => self.pin_judged(tag, held_back),
            Event::PinAnswered {
                worker,
                partition,
                answer,
                text,
            } => {
                self.pin_answered(worker, partition, answer, text);
            }
            Event::GuardChanged { device } => self.look_at_those_held(device),
            Event::Opened { worker, partition } => self.opened(worker, partition),
            Event::OpenFailed {
                worker,
                partition,
                failure,
            } => {
                self.open_failed(worker, partition, failure);
            }
            Event::Seeded {
                worker,
                partition,
                job,
            } => self.seeded(worker, partition, job),
            Event::SeedFailed {
                worker,
                partition,
                job,
                failure,
            } => {
                self.seed_failed(worker, partition, job, failure);
            }
            Event::Configured(settings) => self.configure(settings),
        }
    }

    fn wake_up(&mut self, timer: Timer) {
        match timer {
            Timer::Partition(partition) => self.partition_wakes(partition),
            Timer::Late(partition) => self.may_be_late(partition),
            Timer::Expiry(source) => {
                let (sources, mut turn) = self.with_sources();
                sources.wipe_expired(&mut turn, source);
            }
            Timer::Worker(key) => self.worker_wakes(key),
            // Whoever waited for these asks in `settle`.
            Timer::Source(_) | Timer::Gather => {}
        }
    }

    /// Makes the calls and requests that have become possible.
    fn settle(&mut self) {
        self.pins_next_in_line();
        self.dispatch();
        self.plan_fetches();
        self.review_entropy();
    }

    /// The sources, and what they need to take in an event.
    fn with_sources(&mut self) -> (&mut Sources, Turn<'_>) {
        let (sources, _, turn) = self.parts();
        (sources, turn)
    }

    fn parts(&mut self) -> (&mut Sources, &Partitions, Turn<'_>) {
        let turn = Turn {
            now: self.now,
            once: self.once,
            random: &mut self.random,
            timers: &mut self.timers,
            actions: &mut self.actions,
            facts: &mut self.facts,
        };
        (&mut self.sources, &self.partitions, turn)
    }

    /// Asks the sources for what the partitions need.
    fn plan_fetches(&mut self) {
        let ready = self.ready_bytes;
        let opening = ready > 0 && self.workers.values().any(Worker::is_opening);
        let (sources, partitions, mut turn) = self.parts();
        let demand = Demand {
            ready,
            opening,
            partitions,
        };
        sources.plan(&mut turn, &demand);
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn emit(&mut self, fact: Fact) {
        self.facts.push_back(fact);
    }

    fn process(&self, key: WorkerKey) -> Process {
        Process {
            module: Named {
                id: key.module,
                name: self.modules[&key.module].name.clone(),
            },
            role: key.role,
            worker: self.workers.get(&key).map_or(WorkerId(0), |w| w.life),
        }
    }

    fn new_job(&mut self) -> JobId {
        self.jobs_made += 1;
        JobId(self.jobs_made)
    }
}
