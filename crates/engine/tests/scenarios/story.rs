//! A world in which everything works, but for what a story says.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use qseed_engine::announcer::{Announcer, Summary};
use qseed_engine::guard::{PinRecord, Records};
use qseed_engine::{
    CallEvent, Combine, Engine, Event, Fact, FetchFailure, FetchFault, Intent, Limits, MadeOf,
    ModuleId, ModuleSettings, Moment, PartitionFact, PartitionId, PartitionSettings,
    PartitionState, RequestId, Settings, SourceId, SourceSettings, Start, TokenFault, WorkerId,
    WorkerRole,
};
use qseed_model::pins::{
    DevicePinTag, DeviceTag, HeldBack, KeyTag, PinAnswer, PinTag, PinTags, ProcessTag, Standing,
    TokenTag,
};

pub(crate) const MODULE: ModuleId = ModuleId(0);
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn p(number: u32) -> PartitionId {
    PartitionId(number)
}

pub(crate) fn s(number: u32) -> SourceId {
    SourceId(number)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn tag(number: u8) -> PinTag {
    PinTag([number; 32])
}

/// The digests of a PIN at a token and device of its own.
pub(crate) fn tags(number: u8) -> PinTags {
    PinTags {
        tag: tag(number),
        at_device: DevicePinTag([number; 16]),
        token: TokenTag([number; 16]),
        device: DeviceTag([number; 16]),
        key: KeyTag([0; 16]),
    }
}

/// The one process that presents PINs in a story.
pub(crate) const DAEMON: ProcessTag = ProcessTag([0; 8]);

/// A guard file that holds this of a PIN.
pub(crate) fn known(tags: &PinTags, standing: Standing) -> Records {
    let mut records = Records::default();
    let record = records.judge(tags, "partition0", DAEMON, |_| true);
    records.put(PinRecord {
        standing: Some(standing),
        ..record.expect("nothing is known yet")
    });
    records
}

/// How a source answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// After this many milliseconds.
    Delivers(u64),
    /// The bytes of this number.
    Repeats(u64),
    /// All zero.
    Lies,
    /// At once.
    Fails(FetchFault, Option<Duration>),
    /// After ten seconds.
    Hangs,
}

/// How a call on a partition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Works,
    Fails(TokenFault),
    FailsSlowly(TokenFault),
    /// After so many seconds.
    WorksAfter(u64),
    Hangs,
    CrashesWorker,
}

/// One thing that the engine did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Ask(SourceId, usize),
    Start(WorkerId),
    End(WorkerId, bool),
    Open(PartitionId),
    Intend(PartitionId),
    Seed(PartitionId, MadeOf),
    Record(PinTag, Option<Standing>),
    Present(PinTag),
    Hold(PinTag, HeldBack),
}

/// How the ledger takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ledger {
    Works,
    Fails,
    /// It does not answer.
    Hangs,
}

/// What a partition logs in with, and what its token says to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login {
    pub(crate) tags: PinTags,
    pub(crate) answer: PinAnswer,
    /// The worker dies instead of the answer.
    pub(crate) dies: bool,
}

pub(crate) struct Story {
    pub(crate) engine: Engine,
    pub(crate) settings: Settings,
    pub(crate) sources: BTreeMap<SourceId, Source>,
    pub(crate) opening: BTreeMap<PartitionId, Call>,
    pub(crate) seeding: BTreeMap<PartitionId, Call>,
    pub(crate) logins: BTreeMap<PartitionId, Login>,
    /// Whether a worker that is asked to end does so before it has answered its calls.
    pub(crate) ends_at_once: bool,
    pub(crate) disk_works: bool,
    pub(crate) disk_takes: Duration,
    pub(crate) ledger: Ledger,
    pub(crate) ledger_takes: Duration,
    /// Intents that a hanging ledger got.
    pub(crate) unrecorded: Vec<Intent>,
    /// What the guard's file holds.
    pub(crate) disk: Records,
    pub(crate) did: Vec<(Moment, Did)>,
    announcer: Announcer,
    pub(crate) facts: Vec<Fact>,
    /// The facts that have a line of the log.
    pub(crate) news: Vec<Fact>,
    summaries: Vec<Summary>,
    /// When each partition was seeded.
    pub(crate) seeded: BTreeMap<PartitionId, Vec<Moment>>,
    now: Moment,
    order: u64,
    coming: BinaryHeap<Reverse<(Moment, u64)>>,
    events: BTreeMap<u64, (Option<WorkerId>, Event)>,
    dead: Vec<WorkerId>,
    pub(crate) delivered: u64,
}

/// One source, one module with four places, and partitions that want 48 bytes each ten seconds.
pub(crate) fn usual(partitions: u32) -> Settings {
    Settings {
        sources: vec![source(0)],
        combine: Combine::Failover,
        mix_local: false,
        record_first: false,
        reserve: None,
        modules: vec![ModuleSettings {
            id: MODULE,
            name: "module.so".into(),
            deadline: DEADLINE,
            concurrency: 4,
            revision: 0,
        }],
        partitions: (0..partitions).map(partition).collect(),
    }
}

pub(crate) fn source(number: u32) -> SourceSettings {
    SourceSettings {
        id: s(number),
        name: format!("source{number}").into(),
        limits: Limits::QRYPT,
        rate_limit: None,
        service: 0,
        startup_bytes: 0,
        revision: 0,
    }
}

pub(crate) fn partition(number: u32) -> PartitionSettings {
    PartitionSettings {
        id: p(number),
        name: format!("partition{number}").into(),
        module: MODULE,
        size: 48,
        period: secs(10),
    }
}

/// A request to the first source that brought nothing.
pub(crate) fn fetch_failed(
    request: RequestId,
    kind: FetchFault,
    sent: u32,
    secret_changed: bool,
) -> Event {
    Event::FetchFailed {
        source: s(0),
        request,
        failure: FetchFailure {
            kind,
            code: "failed",
            text: "it failed".to_owned(),
            retry_after: None,
            sent,
            secret_changed,
        },
    }
}

impl Story {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_memory(settings, Records::default())
    }

    /// A daemon that finds this in the guard's file.
    pub(crate) fn with_memory(settings: Settings, disk: Records) -> Self {
        Self::begin(settings, disk, false)
    }

    /// A daemon that seeds each partition once.
    pub(crate) fn once(settings: Settings) -> Self {
        Self::begin(settings, Records::default(), true)
    }

    fn begin(settings: Settings, disk: Records, once: bool) -> Self {
        let engine = Engine::new(Start {
            settings: settings.clone(),
            now: Moment::START,
            seed: 1,
            good_pins: disk.good().collect(),
            once,
            sent_before: Vec::new(),
        });
        let mut story = Self {
            engine,
            settings,
            sources: BTreeMap::new(),
            opening: BTreeMap::new(),
            seeding: BTreeMap::new(),
            logins: BTreeMap::new(),
            ends_at_once: true,
            disk_works: true,
            disk_takes: Duration::from_millis(5),
            ledger: Ledger::Works,
            ledger_takes: Duration::from_millis(5),
            unrecorded: Vec::new(),
            disk,
            did: Vec::new(),
            announcer: Announcer::default(),
            facts: Vec::new(),
            news: Vec::new(),
            summaries: Vec::new(),
            seeded: BTreeMap::new(),
            now: Moment::START,
            order: 0,
            coming: BinaryHeap::new(),
            events: BTreeMap::new(),
            dead: Vec::new(),
            delivered: 0,
        };
        story.carry_out();
        story
    }

    /// Lets the world go on for a while.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let coming = self.coming.peek().map(|Reverse((at, _))| *at);
            let wakes = [coming, self.engine.wake(), self.announcer.wake()];
            let next = wakes.into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = at;
            let event = if coming == Some(at) {
                let Reverse((_, order)) = self.coming.pop().expect("it was just looked at");
                let (from, event) = self.events.remove(&order).expect("each has one");
                if from.is_some_and(|worker| self.dead.contains(&worker)) {
                    continue;
                }
                event
            } else {
                Event::Tick
            };
            self.tell(event);
        }
        self.now = end;
    }

    /// Tells the engine something now.
    pub(crate) fn tell(&mut self, event: Event) {
        match &event {
            Event::Call {
                partition,
                event: CallEvent::Seeded { result: Ok(()), .. },
                ..
            } => {
                self.seeded.entry(*partition).or_default().push(self.now);
            }
            Event::WorkerExited { worker, .. } => self.dead.push(*worker),
            _ => {}
        }
        self.engine.handle(self.now, event);
        self.carry_out();
    }

    /// Gives the engine the settings as they are now.
    pub(crate) fn reload(&mut self) {
        self.tell(Event::Configured(self.settings.clone()));
    }

    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    /// When a partition was seeded, in whole seconds.
    pub(crate) fn seeds(&self, number: u32) -> Vec<u64> {
        let seeded = self.seeded.get(&p(number)).into_iter().flatten();
        seeded.map(|at| at.since_start().as_secs()).collect()
    }

    /// Seeds since a moment.
    pub(crate) fn seeds_since(&self, number: u32, since: Moment) -> usize {
        let seeded = self.seeded.get(&p(number)).into_iter().flatten();
        seeded.filter(|at| **at >= since).count()
    }

    pub(crate) fn count(&self, which: impl Fn(&Did) -> bool) -> usize {
        self.did.iter().filter(|(_, did)| which(did)).count()
    }

    pub(crate) fn presented(&self, of: PinTag) -> usize {
        self.count(|did| *did == Did::Present(of))
    }

    /// Whom a request was sent to, and for how many bytes, since a moment.
    pub(crate) fn asked_since(&self, since: Moment) -> Vec<(SourceId, usize)> {
        self.did
            .iter()
            .filter(|(at, _)| *at >= since)
            .filter_map(|(_, did)| match did {
                Did::Ask(source, bytes) => Some((*source, *bytes)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn state(&self, number: u32) -> PartitionState {
        let view = self.engine.partition(p(number));
        view.expect("a configured partition").state
    }

    /// How many facts of a kind have a line of the log.
    pub(crate) fn news(&self, which: impl Fn(&Fact) -> bool) -> usize {
        self.news.iter().filter(|fact| which(fact)).count()
    }

    /// How many lines of the log say that a partition moved to the quarantine.
    pub(crate) fn quarantines(&self) -> usize {
        self.news(|fact| match fact {
            Fact::Partition(_, PartitionFact::Moved { to, .. }) => *to == WorkerRole::Quarantine,
            _ => false,
        })
    }

    /// How many lines of the log say that a partition could not be opened or seeded.
    pub(crate) fn failures(&self) -> usize {
        self.news(|fact| matches!(fact, Fact::Partition(_, PartitionFact::Failed { .. })))
    }

    /// What some summaries of the log tell.
    pub(crate) fn picked<T>(
        &self,
        pick: impl Fn(&Summary) -> Option<T>,
    ) -> impl Iterator<Item = T> {
        self.summaries.iter().filter_map(pick)
    }

    pub(crate) fn later(&mut self, wait: Duration, from: Option<WorkerId>, event: Event) {
        self.order += 1;
        self.coming.push(Reverse((self.now + wait, self.order)));
        self.events.insert(self.order, (from, event));
    }

    fn carry_out(&mut self) {
        while let Some(fact) = self.engine.next_fact() {
            if self.announcer.take(self.now, &fact).is_news {
                self.news.push(fact.clone());
            }
            self.facts.push(fact);
        }
        self.summaries.extend(self.announcer.due(self.now));
        while let Some(action) = self.engine.next_action() {
            self.act(action);
        }
    }

    pub(crate) fn did(&mut self, did: Did) {
        self.did.push((self.now, did));
    }
}
