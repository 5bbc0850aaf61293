//! The state machine: events in, decisions, actions out.

#[cfg(test)]
mod steps;

use std::collections::VecDeque;
use std::time::Duration;

use qseed_model::pins::{DeviceTag, PinTag};

use crate::action::Action;
use crate::context::Context;
use crate::event::{CallEvent, Event};
use crate::fact::Fact;
use crate::fleet::{Fleet, Heard};
use crate::guard::{Pins, Wish};
use crate::ids::{PartitionId, SourceId, WorkerId};
use crate::random::Random;
use crate::settings::Settings;
use crate::sources::{Demand, Sources};
use crate::time::Moment;
use crate::timers::{Timer, Timers};
use crate::view::{PartitionState, PartitionView, SourceView, WorkerView};

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
    context: Context,
    sources: Sources,
    fleet: Fleet,
    pins: Pins,
}

impl Engine {
    /// An engine that has its first actions ready.
    #[must_use]
    pub fn new(start: Start) -> Self {
        let mut random = Random::new(start.seed);
        let mut engine = Self {
            sources: Sources::new(random.next()),
            fleet: Fleet::default(),
            pins: Pins::new(start.good_pins),
            context: Context {
                now: start.now,
                once: start.once,
                stopping: false,
                random,
                timers: Timers::default(),
                actions: VecDeque::new(),
                facts: VecDeque::new(),
            },
        };
        engine.configure(start.settings);
        engine.sources.restore(start.now, start.sent_before);
        engine.settle();
        engine
    }

    /// Takes in what happened at `now`. A time before that of the last event counts as that one.
    pub fn handle(&mut self, now: Moment, event: Event) {
        self.context.now = self.context.now.max(now);
        match self.fleet.heard(&event) {
            Heard::Asked => self.apply(event),
            Heard::Late => {}
            Heard::Unasked(worker) => {
                let text = "its worker process answered a question that qseed did not ask";
                self.fleet
                    .worker_misbehaves(&mut self.context, worker, text.to_owned());
            }
        }
        while let Some(timer) = self.context.timers.pop(self.context.now) {
            if let Timer::Expiry(source) = timer {
                self.sources.wipe_expired(&mut self.context, source);
            } else {
                let available = self.sources.available();
                self.fleet.wakes(&mut self.context, timer, available);
            }
        }
        self.settle();
    }

    /// The next thing to be done.
    pub fn next_action(&mut self) -> Option<Action> {
        self.context.actions.pop_front()
    }

    /// The next thing that happened.
    pub fn next_fact(&mut self) -> Option<Fact> {
        self.context.facts.pop_front()
    }

    /// When the engine wants a `Tick`, if nothing happens before.
    #[must_use]
    pub fn wake(&self) -> Option<Moment> {
        self.context.timers.next()
    }

    /// Whether an event from a worker answers what that worker was asked. Check this before you
    /// store or log anything that came with the event, then hand it in all the same.
    #[must_use]
    pub fn expects(&self, event: &Event) -> bool {
        self.fleet.heard(event) == Heard::Asked
    }

    fn apply(&mut self, event: Event) {
        let (context, fleet) = (&mut self.context, &mut self.fleet);
        let (sources, pins) = (&mut self.sources, &mut self.pins);
        match event {
            Event::Tick => {}
            Event::Fetched {
                source,
                request,
                entropy,
                sent,
            } => {
                let before = sources.available();
                sources.fetched(context, source, request, entropy, sent);
                let available = sources.available();
                if available > before && fleet.ready_bytes() > available {
                    fleet.sort_by_urgency(context.now);
                }
            }
            Event::FetchFailed {
                source,
                request,
                failure,
            } => sources.fetch_failed(context, source, request, failure),
            Event::LimitsLearnt { source, limits } => sources.set_limits(source, limits),
            Event::Budget {
                source,
                spent,
                limit,
            } => sources.set_budget(context, source, spent, limit),
            Event::SourceSecretChanged(source) => sources.secret_changed(source),
            Event::PinChanged(partition) => fleet.retry_now(context, partition),
            Event::WorkerReady(worker) => fleet.worker_ready(context, worker),
            Event::WorkerFailed { worker, text } => fleet.worker_failed(worker, text),
            Event::WorkerMisbehaves { worker, text } => {
                fleet.worker_misbehaves(context, worker, text);
            }
            Event::WorkerExited { worker, text } => {
                fleet.worker_exited(context, worker, text);
                pins.worker_ended(context, worker);
            }
            Event::Call {
                worker,
                partition,
                event,
            } => self.apply_call(worker, partition, event),
            Event::PinJudged { tag, held_back } => {
                if let Some(wish) = pins.judged(context, tag, held_back) {
                    fleet.call_runs(context, wish.worker, wish.partition);
                }
            }
            Event::GuardChanged { device } => self.retry_held(device),
            Event::IntentsRecorded { intents, recorded } => {
                fleet.intents_recorded(context, &intents, recorded);
            }
            Event::LedgerWritable(writable) => fleet.set_ledger_writable(context, writable),
            Event::Stopping => {
                context.stopping = true;
                fleet.drop_intended(context);
            }
            Event::Stopped => fleet.drop_unanswered(context),
            Event::Configured(settings) => self.configure(settings),
        }
    }

    fn apply_call(&mut self, worker: WorkerId, partition: PartitionId, event: CallEvent) {
        let (context, fleet) = (&mut self.context, &mut self.fleet);
        match event {
            CallEvent::Progress => fleet.call_runs(context, worker, partition),
            CallEvent::Waits => fleet.call_waits(context, worker, partition),
            CallEvent::PinAsked { ask, tags } => {
                fleet.pin_asked(context, worker, partition);
                if fleet.hears_verdicts(worker, partition) {
                    let wish = Wish {
                        worker,
                        partition,
                        ask,
                        tags,
                    };
                    self.pins.asked(context, wish);
                }
            }
            CallEvent::PinAnswered { answer, text } => {
                let pins = &mut self.pins;
                let accepted_at = pins.answered(context, worker, partition, answer, text);
                if accepted_at.is_some() {
                    self.retry_held(accepted_at);
                }
            }
            CallEvent::Opened(result) => {
                let pin = self.pins.call_ended(context, worker, partition, &result);
                fleet.opened(context, worker, partition, result, pin);
            }
            CallEvent::Seeded { job, result } => {
                let pin = self.pins.call_ended(context, worker, partition, &result);
                fleet.seeded(context, (worker, partition, job), result, pin);
            }
        }
    }

    fn configure(&mut self, settings: Settings) {
        let context = &mut self.context;
        self.sources.configure(
            context,
            settings.combine,
            settings.mix_local,
            settings.reserve,
            settings.sources,
        );
        self.fleet.record_first(context, settings.record_first);
        let gone = self
            .fleet
            .configure(context, settings.modules, settings.partitions);
        for partition in gone {
            self.pins.drop_partition(partition);
        }
        self.sources.serve(self.fleet.partitions());
    }

    /// Something changed about PINs that are held back: at one device, or at all.
    fn retry_held(&mut self, device: Option<DeviceTag>) {
        for partition in self.pins.release_at(device) {
            self.fleet.retry_now(&mut self.context, partition);
        }
    }

    /// Makes the calls and requests that have become possible.
    fn settle(&mut self) {
        let (context, fleet) = (&mut self.context, &mut self.fleet);
        let hears = |worker, partition| fleet.hears_verdicts(worker, partition);
        self.pins.ask_for_next(context, hears);
        if context.stopping {
            return;
        }
        loop {
            if fleet.seed_next_recorded(context) {
                continue;
            }
            let next = fleet.next_for_seed(context.now);
            if let Some((partition, size)) = next
                && self.sources.available() >= size
            {
                // Two sources that deliver the same make no seed, and their bytes are gone.
                if let Some((seed, made_of)) = self.sources.take(context, size) {
                    fleet.seed(context, partition, seed, made_of);
                }
            } else if !fleet.open_next(context) {
                break;
            }
        }
        let demand = Demand {
            ready: fleet.ready_bytes(),
            opening: fleet.ready_bytes() > 0 && fleet.is_opening(),
            partitions: fleet.partitions(),
        };
        if !fleet.is_held_back() {
            self.sources.plan(context, &demand);
        }
        let out = self.sources.check_if_out(context, fleet.ready_bytes());
        fleet.set_entropy_is_out(context, out);
    }

    /// How many partitions are in a state.
    #[must_use]
    pub fn count(&self, state: PartitionState) -> usize {
        self.fleet.count(state)
    }

    /// With `once`: whether each partition was seeded or given up, or waits for entropy that no
    /// source delivers.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.context.once && self.fleet.is_finished()
    }

    /// Whether something fails that the operator may mend by changing a file.
    #[must_use]
    pub fn waits_for_operator(&self) -> bool {
        let states = [
            PartitionState::PinRefused,
            PartitionState::PinGuarded,
            PartitionState::Error,
        ];
        self.sources.any_is_out() || states.iter().any(|of| self.count(*of) > 0)
    }

    /// Every partition as it stands.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionView> {
        self.fleet.views()
    }

    /// One partition as it stands.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<PartitionView> {
        self.fleet.view(id)
    }

    /// Whether a partition's PIN is held back, or was not accepted when qseed presented it last.
    #[must_use]
    pub fn is_pin_held(&self, id: PartitionId) -> bool {
        self.pins.is_held(id)
    }

    /// Every source as it stands, in the configuration's order.
    pub fn sources(&self) -> impl Iterator<Item = SourceView> {
        self.sources.views()
    }

    /// Every worker as it stands.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.fleet.workers()
    }

    /// How many things the engine keeps track of at this moment, whatever they are. It depends on
    /// the configuration and what is in flight, not on how long the engine has been running.
    #[must_use]
    pub fn entries(&self) -> usize {
        let out = self.context.actions.len() + self.context.facts.len();
        let kept = self.sources.len() + self.fleet.entries() + self.pins.entries();
        out + kept + self.context.timers.len()
    }
}
