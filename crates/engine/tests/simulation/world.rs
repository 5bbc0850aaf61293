//! The world: what happens when, and the engine in the middle.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use qseed_engine::{
    Engine, Event, Fact, ModuleId, Moment, PartitionFact, PartitionId, PartitionSettings,
    RequestId, Settings, SourceId, Start, WorkerId, WorkerRole,
};
use qseed_model::pins::{PinAnswer, PinTag, PinTags, ProcessTag};

use crate::Checked;
use crate::announcements::Announcements;
use crate::bytes::Bytes;
use crate::cadence::Cadence;
use crate::dice::Dice;
use crate::faults::{Fault, ModuleTrouble, TokenTrouble};
use crate::ledger::Ledger;
use crate::pins::Pins;
use crate::processes::Process;
use crate::scenario::{Reach, Scenario};
use crate::service::{Answer, Service};
use crate::summary::Summary;
use crate::tokens::Step;

/// Something that the world does at its time.
#[derive(Debug)]
pub(crate) enum Happening {
    /// The engine's timer.
    Ticks,
    /// The engine hears of something.
    Tells(Event),
    /// A request arrives at its service.
    Arrives(SourceId, RequestId),
    /// A service answers.
    Answers(SourceId, RequestId, Answer, u32),
    /// The disk is done with the records that wait.
    Writes,
    /// The ledger's disk is done with the intents that wait, or has failed.
    LedgerWrites,
    /// A worker's operation goes on.
    Goes(WorkerId, PartitionId, u64, Step),
    /// A worker's process has loaded its module, or could not.
    Loads(WorkerId),
    /// A worker's process ends.
    Dies(WorkerId),
    Begins(Fault, Duration),
    Ends(Fault),
    /// The operator looks after a token.
    Mends(usize),
    Reconfigures,
    DaemonDies,
    /// `qseed check --login` presents a token's PIN beside the daemon.
    Checks(usize),
    /// It has the token's answer, or is killed before it can record it.
    CheckEnds(usize, ProcessTag, PinTag, Option<PinAnswer>),
}

/// Something on its way to the guard's file.
#[derive(Debug)]
pub(crate) enum Write {
    Present(PartitionId, PinTags),
    Record(PinTag, PinAnswer),
}

#[derive(Debug)]
struct Scheduled {
    at: Moment,
    order: u64,
    /// The daemon's life that it belongs to; none: it happens whichever runs.
    life: Option<u64>,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A token as it really is.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) latency: Duration,
    pub(crate) pin: u64,
    pub(crate) trouble: Option<TokenTrouble>,
    /// Counts how often it lost its sessions.
    pub(crate) generation: u32,
    /// Not to be counted on before, after a trouble that the engine may sleep on for long.
    pub(crate) healthy_from: Moment,
    pub(crate) operator_comes: bool,
    /// When it took down a worker that it shares.
    pub(crate) took_down: VecDeque<Moment>,
}

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) settings: Settings,
    pub(crate) reaches: BTreeMap<PartitionId, Reach>,
    pub(crate) dice: Dice,
    pub(crate) now: Moment,
    pub(crate) engine: Engine,
    announcements: Announcements,
    pub(crate) services: BTreeMap<SourceId, Service>,
    pub(crate) tokens: Vec<Token>,
    /// Which worker of its module serves a partition, where it is not the common one.
    pub(crate) roles: BTreeMap<PartitionId, WorkerRole>,
    pub(crate) module_troubles: BTreeMap<ModuleId, ModuleTrouble>,
    pub(crate) processes: BTreeMap<WorkerId, Process>,
    /// Workers whose end the engine knows of.
    pub(crate) gone: BTreeSet<WorkerId>,
    /// Records on their way to the disk, in order.
    pub(crate) writes: VecDeque<Write>,
    pub(crate) disk_works: bool,
    pub(crate) ledger: Ledger,
    /// Requests that were given up when a source was configured otherwise.
    pub(crate) abandoned: BTreeSet<RequestId>,
    /// The PINs that workers asked about, by the number of the question.
    pub(crate) asked: BTreeMap<u64, PinTags>,
    /// Partitions that were taken out of the configuration and may come back.
    pub(crate) removed: Vec<PartitionSettings>,
    pub(crate) bytes: Bytes,
    pub(crate) pins: Pins,
    pub(crate) cadence: Cadence,
    pub(crate) summary: Summary,
    pub(crate) trace: bool,
    life: u64,
    order: u64,
    heap: BinaryHeap<Reverse<Scheduled>>,
    hasher: DefaultHasher,
    /// Ticks in this second that led to nothing.
    idle: (u64, u64),
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let settings = scenario.settings.clone();
        let (now, number) = (Moment::START, scenario.number);
        let engine = start(&settings, now, number, &Pins::default(), Vec::new());
        let ids = settings.partitions.iter().map(|p| p.id);
        let reaches = ids.zip(scenario.reaches.iter().cloned()).collect();
        let service = |source: &qseed_engine::SourceSettings| {
            (source.id, Service::new(source.clone(), Moment::START))
        };
        let tokens: Vec<_> = scenario
            .tokens
            .iter()
            .map(|plan| Token {
                latency: plan.latency,
                pin: plan.pin,
                trouble: None,
                generation: 0,
                healthy_from: Moment::START,
                operator_comes: false,
                took_down: VecDeque::new(),
            })
            .collect();
        let mut world = Self {
            services: settings.sources.iter().map(service).collect(),
            reaches,
            dice: Dice::new(scenario.number),
            now: Moment::START,
            engine,
            announcements: Announcements::new(scenario.summaries),
            cadence: Cadence::new(scenario.slack, tokens.len()),
            tokens,
            roles: BTreeMap::new(),
            module_troubles: BTreeMap::new(),
            processes: BTreeMap::new(),
            gone: BTreeSet::new(),
            writes: VecDeque::new(),
            disk_works: true,
            ledger: Ledger::default(),
            abandoned: BTreeSet::new(),
            asked: BTreeMap::new(),
            removed: Vec::new(),
            bytes: Bytes::default(),
            pins: Pins::default(),
            summary: Summary::default(),
            trace: std::env::var_os("QSEED_SIMULATION_TRACE").is_some(),
            life: 0,
            order: 0,
            heap: BinaryHeap::new(),
            hasher: DefaultHasher::new(),
            idle: (0, 0),
            settings,
            scenario,
        };
        world.configure_cadence();
        if world.scenario.faulty {
            world.plan_faults();
        }
        world
    }

    pub(crate) fn configure_cadence(&mut self) {
        for partition in &self.settings.partitions {
            let token = self.reaches[&partition.id].token;
            self.cadence.configure(partition, token, self.now);
        }
    }

    /// Lets something happen after a while, if this daemon still runs then.
    pub(crate) fn after(&mut self, wait: Duration, what: Happening) {
        self.schedule(self.now + wait, Some(self.life), what);
    }

    /// Lets something happen after a while, whatever becomes of the daemon.
    pub(crate) fn after_in_any_case(&mut self, wait: Duration, what: Happening) {
        self.schedule(self.now + wait, None, what);
    }

    pub(crate) fn schedule(&mut self, at: Moment, life: Option<u64>, what: Happening) {
        self.order += 1;
        self.heap.push(Reverse(Scheduled {
            at,
            order: self.order,
            life,
            what,
        }));
    }

    pub(crate) fn run(mut self) -> Result<Summary, String> {
        let end = Moment::new(self.scenario.lasts);
        self.carry_out().map_err(|broken| self.told(&broken))?;
        while let Some(what) = self.next(end) {
            self.summary.events += 1;
            self.happen(what).map_err(|broken| self.told(&broken))?;
            if self.summary.events.is_multiple_of(4096) {
                self.check_growth().map_err(|broken| self.told(&broken))?;
            }
        }
        self.now = end;
        let whole = self.cadence.check_all(end);
        whole.map_err(|broken| self.told(&broken))?;
        self.summary.hash = self.hasher.finish();
        self.summary.simulated = self.scenario.lasts;
        self.summary.latest = self.cadence.longest;
        Ok(self.summary)
    }

    fn told(&self, broken: &str) -> String {
        format!("at {:?}: {broken}", self.now.since_start())
    }

    /// The next thing that happens before the end.
    fn next(&mut self, end: Moment) -> Option<Happening> {
        loop {
            let wake = self.engine.wake();
            let first = self.heap.peek().map(|Reverse(first)| first.at);
            let at = match (wake, first) {
                (Some(wake), Some(first)) => wake.min(first),
                (one, other) => one.or(other)?,
            };
            if at > end {
                return None;
            }
            self.now = self.now.max(at);
            if first != Some(at) {
                return Some(Happening::Ticks);
            }
            let Reverse(scheduled) = self.heap.pop()?;
            if scheduled.life.is_none_or(|life| life == self.life) {
                return Some(scheduled.what);
            }
        }
    }

    fn happen(&mut self, what: Happening) -> Checked {
        if self.trace && !matches!(what, Happening::Ticks) {
            println!("{:?} {what:?}", self.now.since_start());
        }
        match what {
            Happening::Ticks => self.tick(),
            Happening::Tells(event) => self.tell(event),
            Happening::Arrives(source, request) => match self.services.get_mut(&source) {
                Some(service) if !self.abandoned.contains(&request) => service.arrives(self.now),
                _ => Ok(()),
            },
            Happening::Answers(source, request, answer, sent) => {
                self.answers(source, request, answer, sent)
            }
            Happening::Writes => self.write(),
            Happening::LedgerWrites => self.ledger_writes(),
            Happening::Goes(worker, partition, serial, step) => {
                self.goes(worker, partition, serial, step)
            }
            Happening::Loads(worker) => {
                self.loads(worker);
                Ok(())
            }
            Happening::Dies(worker) => {
                self.dies(worker);
                Ok(())
            }
            Happening::Begins(fault, lasts) => self.begins(fault, lasts),
            Happening::Ends(fault) => self.ends(fault),
            Happening::Mends(token) => self.mends(token),
            Happening::Reconfigures => self.reconfigures(),
            Happening::DaemonDies => self.daemon_dies(),
            Happening::Checks(token) => self.checks(token),
            Happening::CheckEnds(token, check, tag, answer) => {
                self.check_ends(token, check, tag, answer)
            }
        }
    }

    /// The engine's timer: it must not wake for nothing again and again.
    fn tick(&mut self) -> Checked {
        let before = self.order;
        self.tell(Event::Tick)?;
        if self.order == before {
            let second = self.now.since_start().as_secs();
            let count = if self.idle.0 == second {
                self.idle.1 + 1
            } else {
                1
            };
            self.idle = (second, count);
            if count > 200 + 2 * self.settings.partitions.len() as u64 {
                return Err(format!("{count} ticks within a second led to nothing"));
            }
        }
        Ok(())
    }

    /// Hands the engine an event and carries out what it decides.
    pub(crate) fn tell(&mut self, event: Event) -> Checked {
        self.judge_event(&event)?;
        self.engine.handle(self.now, event);
        if let Some(wake) = self.engine.wake()
            && wake <= self.now
        {
            return Err(format!("wakes at {wake:?}, which is not later than now"));
        }
        self.carry_out()
    }

    fn carry_out(&mut self) -> Checked {
        self.take_facts()?;
        while let Some(action) = self.engine.next_action() {
            let text = format!("{action:?}");
            text.hash(&mut self.hasher);
            self.now.hash(&mut self.hasher);
            if self.trace {
                println!("{:?}   -> {text}", self.now.since_start());
            }
            self.order += 1;
            self.act(action)?;
        }
        Ok(())
    }

    fn take_facts(&mut self) -> Checked {
        while let Some(fact) = self.engine.next_fact() {
            let text = format!("{fact:?}");
            text.hash(&mut self.hasher);
            if self.trace {
                println!("{:?}   :: {text}", self.now.since_start());
            }
            match &fact {
                Fact::Partition(partition, PartitionFact::Moved { to, .. }) => {
                    self.moved(partition.id, *to)?;
                }
                Fact::Partition(partition, PartitionFact::Removed) => {
                    self.roles.remove(&partition.id);
                }
                Fact::Partition(partition, PartitionFact::SeedLost { given: false, .. }) => {
                    self.ledger.drops(partition.id)?;
                    self.summary.dropped_seeds += 1;
                }
                _ => {}
            }
            if self.announcements.take(self.now, &fact) {
                self.reads(&fact);
            }
        }
        Ok(())
    }

    /// What the engine keeps must not grow with time, and every fault is announced.
    fn check_growth(&mut self) -> Checked {
        self.announcements.due(self.now)?;
        let max_age = self.settings.reserve.map(|reserve| reserve.max_age);
        self.bytes.prune(self.now, max_age);
        let entries = self.engine.entries() + self.announcements.entries();
        let bound = 9 * self.settings.partitions.len() + 300;
        if entries > bound {
            return Err(format!("{entries} entries, where {bound} are plenty"));
        }
        Ok(())
    }

    /// SIGKILL: the engine is gone, and everything that it and its workers held.
    fn daemon_dies(&mut self) -> Checked {
        self.cadence.check_all(self.now)?;
        self.life += 1;
        self.summary.daemons += 1;
        self.processes.clear();
        self.roles.clear();
        self.gone.clear();
        self.abandoned.clear();
        self.asked.clear();
        // Some of what was on its way to the disk got there.
        let kept = self.dice.index(self.writes.len() + 1);
        for write in std::mem::take(&mut self.writes).into_iter().take(kept) {
            self.write_one(&write);
        }
        self.pins.daemon_died();
        self.bytes.forget_all();
        self.ledger.forget_all();
        let services = self.services.iter_mut();
        let sent_before = services
            .map(|(id, service)| (*id, service.restarted(self.now)))
            .collect();
        let number = self.dice.next();
        self.engine = start(&self.settings, self.now, number, &self.pins, sent_before);
        self.announcements = Announcements::new(self.scenario.summaries);
        self.cadence.begin_anew(self.now);
        for token in 0..self.tokens.len() {
            self.tokens[token].took_down.clear();
            self.look_at_token(token)?;
        }
        self.carry_out()
    }
}

fn start(
    settings: &Settings,
    now: Moment,
    seed: u64,
    pins: &Pins,
    sent_before: Vec<(SourceId, Vec<Duration>)>,
) -> Engine {
    Engine::new(Start {
        settings: settings.clone(),
        now,
        seed,
        good_pins: pins.file.good().collect(),
        once: false,
        sent_before,
    })
}
