//! The daemon's loop: wait for what happens next, hand it to the engine, carry out its actions.

mod actions;
mod configuration;
mod ledger;
mod messages;
mod once;
mod sources;
mod stop;

use std::collections::BTreeMap;
use std::time::Instant;

use qseed_config::{Config, Warning};
use qseed_engine::{Engine, Event, Moment, PartitionId, Start, TokenFailure};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Incoming;
use super::anchors::Anchors;
use super::config_source::ConfigSource;
use super::ledger_desk::LedgerDesk;
use super::orphans;
use super::processes::Processes;
use super::reports::Reports;
use super::secret_files::{CHECK_EVERY, SecretFiles};
use super::service::{Service, Wish};
use super::sources::Sources;
use super::state_files::StateFiles;
use super::timer::Timer;
use super::usage::{Usage, UsageFile};
use crate::assemble::Plan;
use crate::cli::RunArgs;
use crate::exit::Failure;
use crate::harden::Hardening;
use crate::random::random_number;
use crate::say;
use configuration::{open_guard, open_state_dir};
use ledger::{next_report, start_ledger};
use sources::requests_before;

/// Everything that the daemon holds.
pub(super) struct Daemon {
    once: bool,
    /// With `once`: what the tokens answered last.
    failures: BTreeMap<PartitionId, TokenFailure>,
    plan: Plan,
    config_source: ConfigSource,
    engine: Engine,
    began: Instant,
    reports: Reports,
    sources: Sources,
    workers: Processes,
    state_files: StateFiles,
    usage: Usage,
    ledger: Option<LedgerDesk>,
    anchors: Option<Anchors>,
    secret_files: SecretFiles,
    to_handle: UnboundedReceiver<Incoming>,
    service: Service,
    stopping: bool,
}

impl Daemon {
    pub(super) fn start(
        args: RunArgs,
        mut config: Config,
        warnings: &[Warning],
        hardening: &Hardening,
    ) -> Result<Self, Failure> {
        let service = Service::listen()
            .map_err(|error| Failure::internal("cannot listen to signals", error))?;
        if args.once {
            // It would be downloaded, and lost at the end.
            config.reserve = None;
        }
        let once = args.once;
        let may_be_readable = args.config.allow_readable_secrets;
        let (config_source, plan) = ConfigSource::new(args.config, config)?;
        let mut reports = Reports::new(&plan);
        let remarks = say::configuration::warnings(&plan, warnings);
        let started = say::configuration::started(&plan);
        for entry in [started]
            .into_iter()
            .chain(hardening.shortcomings())
            .chain(remarks)
        {
            reports.write(entry);
        }
        let (incoming, to_handle) = unbounded_channel();
        let mut secret_files = SecretFiles::new(may_be_readable, incoming.clone());
        secret_files
            .watch(&plan)
            .map_err(|error| Failure::internal("cannot start a thread", error))?;
        let state_dir = plan.config.state_dir.clone();
        let dir = open_state_dir(&plan)?;
        let (usage, read) = Usage::read(dir.as_ref().ok());
        let guard = open_guard(&plan, dir)?;
        let good_pins = guard.as_ref().ok().and_then(Option::as_ref);
        let good_pins = good_pins.map(|file| file.contents().records.good().collect());
        let ledger = start_ledger(&plan, hardening)?;
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
        let sources = Sources::new(incoming.clone());
        let audit = plan.config.audit.as_ref().filter(|_| !once);
        let roots = sources.roots();
        let anchors = audit.map(|it| Anchors::start(it, &plan.config.state_dir, roots, incoming));
        let mut daemon = Self {
            secret_files,
            once,
            failures: BTreeMap::new(),
            plan,
            config_source,
            engine,
            began: Instant::now(),
            reports,
            sources,
            workers: Processes::default(),
            state_files,
            usage,
            ledger,
            anchors,
            to_handle,
            service,
            stopping: false,
        };
        let adapters = daemon.sources.open(&daemon.plan);
        daemon.start_sources(adapters);
        daemon.tell_budgets();
        Ok(daemon)
    }

    /// Runs until a signal ends it or, with `--once`, everything was tried once.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut timer = Timer::new().map_err(|error| Failure::internal("no timer", error))?;
        let mut files = tokio::time::interval(CHECK_EVERY);
        files.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let result = loop {
            self.carry_out();
            // Ready, since every module's worker was started: a service that is out must not keep
            // the service manager waiting.
            let standing = say::standing(|state| self.engine.count(state));
            self.service.stands(standing);
            if self.once
                && let Some(result) = self.tried_once()
            {
                break result;
            }
            let gathered = self.ledger.as_ref().and_then(LedgerDesk::wake);
            let wakes = [self.engine.wake(), self.reports.wake(), gathered];
            let wakes = wakes.into_iter().flatten().map(|at| self.instant(at));
            let of_ledger = self.ledger.as_ref().and_then(|desk| desk.ledger.wake());
            let wake = wakes.chain(of_ledger).min();
            let waits_for_files = self.engine.waits_for_operator();
            tokio::select! {
                biased;
                wish = self.service.next() => match wish {
                    Wish::Stop => break Ok(()),
                    Wish::Reload => self.reload(),
                    Wish::Reap => orphans::reap(|pid| self.workers.is_worker(pid)),
                },
                Some(event) = self.workers.next() => self.worker_event(event),
                Some(report) = next_report(&mut self.ledger) => self.ledger_reports(report),
                Some(event) = self.to_handle.recv() => self.take_in(event),
                fired = timer.fires(wake) => match fired {
                    Ok(()) => self.tick(),
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

    fn tick(&mut self) {
        if let Some(desk) = &mut self.ledger {
            desk.ledger.due();
        }
        self.handle(Event::Tick);
    }

    fn take_in(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Source(event) => self.source_event(event),
            Incoming::Engine(event) => self.handle(event),
            Incoming::Log(entry) => self.reports.write(entry),
            Incoming::Record(body) => self.record(*body),
        }
    }

    /// Looks whether the operator changed what something waits for.
    fn look_at_files(&mut self) {
        self.tell_budgets();
        self.state_files.refresh();
        self.secret_files.check();
    }
}
