//! The daemon's loop: wait for what happens next, hand it to the engine, carry out its actions.

mod configuration;
mod messages;
mod once;
mod pins;
mod stop;
mod workers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use qseed_config::{Config, NamedSecret, Partition, Warning};
use qseed_engine::{Action, Engine, Event, Moment, PartitionId, SourceId, Start};
use qseed_model::pins::HeldBack;
use qseed_sources::Ask;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Incoming;
use super::alarm::Alarm;
use super::config_source::ConfigSource;
use super::orphans;
use super::processes::Processes;
use super::reports::Reports;
use super::service::{Service, Wish};
use super::sources::Sources;
use super::state_files::StateFiles;
use super::usage::{Usage, UsageFile};
use super::watch::{self, Exposures, Watch, Whose};
use crate::assemble::{Plan, PlannedSource};
use crate::cli::RunArgs;
use crate::exit::Failure;
use crate::log::Entry;
use crate::random::random_number;
use crate::say::{self, shell};
use configuration::{open_guard, open_state_dir};
use workers::mix_local;

/// Everything that the daemon holds.
pub(super) struct Daemon {
    once: bool,
    plan: Plan,
    config_source: ConfigSource,
    engine: Engine,
    began: Instant,
    reports: Reports,
    sources: Sources,
    workers: Processes,
    /// Why the guard held a partition's PIN back, until its worker says so.
    held_back: BTreeMap<PartitionId, HeldBack>,
    /// What the token answered to a PIN, while that is being written down.
    token_said: Option<String>,
    state_files: StateFiles,
    usage: Usage,
    watch: Watch,
    exposures: Exposures,
    to_handle: UnboundedReceiver<Incoming>,
    service: Service,
    stopping: bool,
}

impl Daemon {
    pub(super) fn start(
        args: RunArgs,
        mut config: Config,
        warnings: &[Warning],
        shortcomings: Vec<Entry>,
    ) -> Result<Self, Failure> {
        let service = Service::listen()
            .map_err(|error| Failure::internal("cannot listen to signals", error))?;
        if args.once {
            // It would be downloaded, and lost at the end.
            config.reserve = None;
        }
        let once = args.once;
        let exposures = Exposures::new(args.config.allow_readable_secrets);
        let (config_source, plan) = ConfigSource::new(args.config, config)?;
        let mut reports = Reports::new(&plan);
        let remarks = say::configuration::warnings(&plan, warnings);
        let started = say::configuration::started(&plan);
        for entry in [started].into_iter().chain(shortcomings).chain(remarks) {
            reports.write(entry);
        }
        let (incoming, to_handle) = unbounded_channel();
        let state_dir = plan.config.state_dir.clone();
        let dir = open_state_dir(&plan)?;
        let (usage, read) = Usage::read(dir.as_ref().ok());
        let guard = open_guard(&plan, dir)?;
        let good_pins = guard.as_ref().ok().and_then(Option::as_ref);
        let good_pins = good_pins.map(|file| file.contents().records.good().collect());
        let engine = Engine::new(Start {
            settings: plan.engine_settings(),
            now: Moment::START,
            seed: random_number(),
            good_pins: good_pins.unwrap_or_default(),
            once,
            sent_before: requests_before(&plan, &usage),
        });
        let usage_file = UsageFile::new(usage.clone(), &state_dir);
        let events = incoming.clone();
        let state_files = StateFiles::start(state_dir, guard, (usage_file, read), events)
            .map_err(|error| Failure::internal("cannot start a thread", error))?;
        let mut daemon = Self {
            watch: Watch::new(&plan),
            exposures,
            once,
            plan,
            config_source,
            engine,
            began: Instant::now(),
            reports,
            sources: Sources::new(incoming.clone()),
            workers: Processes::default(),
            held_back: BTreeMap::new(),
            token_said: None,
            state_files,
            usage,
            to_handle,
            service,
            stopping: false,
        };
        let adapters = daemon.sources.open(&daemon.plan)?;
        daemon.start_sources(adapters);
        daemon.tell_budgets();
        Ok(daemon)
    }

    /// Runs until a signal ends it or, with `--once`, everything was tried once.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut alarm = Alarm::new().map_err(|error| Failure::internal("no timer", error))?;
        let mut files = tokio::time::interval(watch::EVERY);
        files.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let result = loop {
            self.carry_out();
            if self.engine.is_ready() {
                self.service.is_ready();
            }
            if self.once
                && let Some(result) = self.tried_once()
            {
                break result;
            }
            let wakes = [self.engine.wake(), self.reports.wake()];
            let wake = wakes.into_iter().flatten().min().map(|at| self.instant(at));
            let waits_for_files = self.engine.waits_for_operator();
            tokio::select! {
                biased;
                wish = self.service.next() => match wish {
                    Wish::Stop => break Ok(()),
                    Wish::Reload => self.reload(),
                    Wish::Reap => orphans::reap(|pid| self.workers.is_worker(pid)),
                },
                Some(event) = self.workers.next() => self.worker_says(event),
                Some(event) = self.to_handle.recv() => self.take_in(event),
                rung = alarm.rings(wake) => match rung {
                    Ok(()) => self.handle(Event::Tick),
                    Err(error) => break Err(Failure::internal("the timer fails", error)),
                },
                _ = files.tick(), if waits_for_files => self.look_at_files(),
            }
        };
        self.stop().await;
        result
    }

    fn now(&self) -> Moment {
        Moment::new(self.began.elapsed())
    }

    fn instant(&self, moment: Moment) -> Instant {
        self.began + moment.since_start()
    }

    /// Hands an event to the engine.
    fn handle(&mut self, event: Event) {
        self.engine.handle(self.now(), event);
    }

    /// Carries out everything that the engine decided; at the end, only what concerns PINs.
    fn carry_out(&mut self) {
        loop {
            self.hand_out_facts();
            let Some(action) = self.engine.next_action() else {
                return;
            };
            let of_pin = matches!(
                action,
                Action::PresentPin { .. } | Action::RecordPin { .. } | Action::Verdict { .. }
            );
            if self.stopping && !of_pin {
                continue;
            }
            match action {
                Action::Fetch {
                    source,
                    request,
                    shape,
                    spare_attempt,
                } => {
                    let counted = self.count_question(source, shape.bytes(), spare_attempt);
                    let ask = Ask {
                        shape,
                        spare_attempt,
                    };
                    self.sources.fetch(source, request, ask, counted);
                }
                Action::PresentPin { partition, tags } => self.present_pin(tags, partition),
                Action::RecordPin { tag, answer, .. } => {
                    self.state_files
                        .record(tag, answer, self.token_said.clone());
                }
                Action::Verdict {
                    worker,
                    partition,
                    ask,
                    held_back,
                } => {
                    self.give_verdict(worker, partition, ask, held_back);
                }
                Action::StartWorker { worker, module } => self.start_worker(worker, module),
                Action::EndWorker { worker, kill } => self.end_worker(worker, kill),
                Action::Open { worker, partition } => self.open(worker, partition),
                Action::Close { worker, partition } => self.close(worker, partition),
                Action::Seed {
                    worker,
                    partition,
                    job,
                    mut seed,
                    made_of,
                } => {
                    if made_of.mix_local {
                        mix_local(&mut seed);
                    }
                    self.seed(worker, partition, job, seed);
                }
            }
        }
    }

    /// Hands out everything that happened; at the end of the daemon, nothing more is announced.
    fn hand_out_facts(&mut self) {
        let now = self.now();
        if !self.stopping {
            self.reports.due(now, &self.plan);
        }
        while let Some(fact) = self.engine.next_fact() {
            if !self.stopping {
                self.reports.take(now, &fact, &self.plan);
            }
        }
    }

    fn take_in(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Source(event) => self.source_says(event),
            Incoming::PinJudged { tag, held_back } => {
                self.handle(Event::PinJudged { tag, held_back });
            }
            Incoming::GuardChanged { device } => self.handle(Event::GuardChanged { device }),
            Incoming::GuardFile(state) => self.reports.write(shell::guard_file(state)),
            Incoming::UsageFile(state) => self.reports.write(shell::usage_file(state)),
        }
    }

    /// Warns where other users can use a secret that was just read.
    fn secret_was_read(&mut self, whose: Whose) {
        let plan = &self.plan;
        let secrets: Vec<NamedSecret<'_>> = match whose {
            Whose::Source(id) => {
                let source = plan.sources.get(&id);
                source.map_or_else(Vec::new, |it| it.config.secrets().collect())
            }
            Whose::Partition(id) => {
                let partition = plan.partitions.get(&id);
                partition.and_then(Partition::secret).into_iter().collect()
            }
        };
        for exposure in secrets
            .iter()
            .flat_map(|it| self.exposures.after_reading(it))
        {
            self.reports.write(shell::exposed(&exposure));
        }
    }

    /// Looks whether the operator changed what something waits for.
    fn look_at_files(&mut self) {
        self.tell_budgets();
        self.state_files.refresh();
        for whose in self.watch.changed() {
            self.handle(match whose {
                Whose::Source(id) => Event::SourceSecretChanged(id),
                Whose::Partition(id) => Event::PinChanged(id),
            });
        }
    }
}

/// The time since each request that earlier processes sent.
fn requests_before(plan: &Plan, usage: &Usage) -> Vec<(SourceId, Vec<Duration>)> {
    let now = Timestamp::now();
    let of =
        |(id, source): (&SourceId, &PlannedSource)| (*id, usage.requests(&source.config.name, now));
    plan.sources.iter().map(of).collect()
}
