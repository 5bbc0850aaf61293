//! What the tests with real tokens share: a daemon's end of a worker, and tokens to work on.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program includes it as a module and uses a part of it"
)]

pub mod faulty;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qseed_entropy::Seed;
use qseed_model::pins::{HeldBack, PinAnswer};
use qseed_model::uri::TokenUri;
use qseed_model::{Login, TokenChoice};
use qseed_real_tokens::{SOFTHSM, SPY, SoftHsm};
use qseed_tokens::directory::{LibraryInfo, SlotReport, TokenInfo};
use qseed_tokens::failure::TokenFailure;
use qseed_tokens::supervisor::{Output, RECHECK_AFTER, Worker, WorkerEvent, WorkerSpec};
use qseed_tokens::wire::{FromWorker, Open, PinSource, ToWorker};
use tokio::sync::mpsc;

/// Ends a test that would wait for ever; nothing is judged by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs an asynchronous test as the daemon runs: on one thread, which starts the workers.
pub fn on_one_thread<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, test)
            .await
            .expect("the test waits for something in vain")
    })
}

/// Runs a test with a worker whose module loads, and shuts the worker down.
pub fn with_worker(spec: &WorkerSpec, test: impl AsyncFnOnce(&mut Daemon)) {
    on_one_thread(async {
        let (mut daemon, _) = Daemon::ready(spec).await;
        test(&mut daemon).await;
        daemon.shut_down().await;
    });
}

/// Workers for `SoftHSM`'s tokens.
pub trait Workers {
    /// A worker's specification: the spy in front of `SoftHSM`, writing to the log. One call at a
    /// time, because the spy's lines of several calls would mix.
    fn spec(&self) -> WorkerSpec;

    /// The same without the spy, with several calls at a time.
    fn spec_without_spy(&self) -> WorkerSpec {
        WorkerSpec {
            module: PathBuf::from(SOFTHSM),
            concurrency: 8,
            ..self.spec()
        }
    }
}

impl Workers for SoftHsm {
    fn spec(&self) -> WorkerSpec {
        WorkerSpec {
            environment: self.environment().into_iter().collect(),
            concurrency: 1,
            ..spec(SPY, self.folder())
        }
    }
}

/// A worker's specification for a module without surroundings.
pub fn spec(module: &str, folder: &Path) -> WorkerSpec {
    WorkerSpec {
        program: PathBuf::from(env!("CARGO_BIN_EXE_qseed-tokens-test-worker")),
        module: PathBuf::from(module),
        init_args: None,
        environment: Vec::new(),
        withheld: Vec::new(),
        guard_key: folder.join("state/guard.key"),
        guard_key_may_be_made: false,
        network: true,
        closed: Vec::new(),
        concurrency: 4,
        recheck_after: RECHECK_AFTER,
        output: Output::Log,
    }
}

/// The daemon's end of a worker.
pub struct Daemon {
    pub worker: Worker,
    events: mpsc::Receiver<(u32, WorkerEvent)>,
    pub output: Vec<String>,
}

impl Daemon {
    pub fn start(spec: &WorkerSpec) -> Self {
        let (sender, events) = mpsc::channel(64);
        let worker = Worker::spawn(spec, None, 7, sender).expect("a worker");
        Self {
            worker,
            events,
            output: Vec::new(),
        }
    }

    /// Starts a worker whose module loads.
    pub async fn ready(spec: &WorkerSpec) -> (Self, LibraryInfo) {
        let mut daemon = Self::start(spec);
        match daemon.message().await {
            FromWorker::Ready { library, .. } => (daemon, library),
            other => panic!("not ready: {other:?}"),
        }
    }

    /// The slots that the module has.
    pub async fn list(&mut self) -> Vec<SlotReport> {
        self.worker.send(ToWorker::List { request: 1 });
        let mut slots = Vec::new();
        loop {
            match self.message().await {
                FromWorker::Slot { slot, .. } => slots.push(slot),
                FromWorker::Listed { failure: None, .. } => return slots,
                FromWorker::Progress { .. } => {}
                other => panic!("no listing: {other:?}"),
            }
        }
    }

    /// The next event; what the module writes is kept aside.
    pub async fn event(&mut self) -> WorkerEvent {
        loop {
            let (id, event) = self.events.recv().await.expect("an event");
            assert_eq!(id, 7);
            match event {
                WorkerEvent::Output { line, .. } => self.output.push(line),
                other => return other,
            }
        }
    }

    /// The next message.
    pub async fn any_message(&mut self) -> FromWorker {
        match self.event().await {
            WorkerEvent::Message(message) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    /// The next message other than that something moves on or waits.
    pub async fn message(&mut self) -> FromWorker {
        loop {
            match self.any_message().await {
                FromWorker::Progress { .. } | FromWorker::Waits { .. } => {}
                message => return message,
            }
        }
    }

    /// Has the worker begin to open a partition.
    pub fn start_opening(&self, how: Open) {
        self.worker.send(ToWorker::Open(how));
    }

    /// Opens a partition that needs no login.
    pub async fn open(&mut self, how: Open) -> TokenInfo {
        self.start_opening(how);
        self.opened().await.1
    }

    /// Opens a partition whose PIN the token accepts.
    pub async fn log_in(&mut self, how: Open) -> TokenInfo {
        self.start_opening(how);
        assert_eq!(self.let_log_in().await, PinAnswer::Accepted);
        self.opened().await.1
    }

    pub async fn opened(&mut self) -> (u32, TokenInfo) {
        match self.message().await {
            FromWorker::Opened { partition, token } => (partition, token),
            other => panic!("not opened: {other:?}"),
        }
    }

    pub async fn open_failed(&mut self) -> TokenFailure {
        match self.message().await {
            FromWorker::OpenFailed { failure, .. } => failure,
            other => panic!("opening did not fail: {other:?}"),
        }
    }

    /// The guard's question: partition, number, tag.
    pub async fn asked(&mut self) -> (u32, u64, qseed_model::pins::PinTag) {
        match self.message().await {
            FromWorker::PinAsk {
                partition,
                ask,
                tags,
                ..
            } => (partition, ask, tags.tag),
            other => panic!("no question: {other:?}"),
        }
    }

    pub fn say(&self, partition: u32, ask: u64, present: bool) {
        self.worker.send(ToWorker::Verdict {
            partition,
            ask,
            held_back: (!present).then_some(HeldBack::Refused),
        });
    }

    pub async fn outcome(&mut self) -> PinAnswer {
        match self.message().await {
            FromWorker::PinOutcome { answer, .. } => answer,
            other => panic!("no outcome: {other:?}"),
        }
    }

    /// Lets a PIN be presented and tells what became of it.
    pub async fn let_log_in(&mut self) -> PinAnswer {
        let (partition, ask, _) = self.asked().await;
        self.say(partition, ask, true);
        self.outcome().await
    }

    pub fn seed(&self, partition: u32, job: u64, bytes: &[u8]) {
        let seed = Seed::new(bytes.to_vec());
        self.worker.send(ToWorker::Seed {
            partition,
            job,
            seed,
        });
    }

    /// The answer to a seed: its number, and how many calls it took.
    pub async fn seeded(&mut self) -> (u64, u32) {
        match self.message().await {
            FromWorker::Seeded { job, calls, .. } => (job, calls),
            other => panic!("not seeded: {other:?}"),
        }
    }

    /// Why a seed was not injected, and whether the partition is still open.
    pub async fn seed_failed(&mut self) -> (TokenFailure, bool) {
        match self.message().await {
            FromWorker::SeedFailed { failure, open, .. } => (failure, open),
            other => panic!("seeding did not fail: {other:?}"),
        }
    }

    /// Ends the worker as a daemon does that stops.
    pub async fn shut_down(mut self) -> Vec<String> {
        self.worker.send(ToWorker::Shutdown);
        loop {
            match self.event().await {
                WorkerEvent::Exited(status) => {
                    assert!(status.success(), "{status}");
                    return self.output;
                }
                WorkerEvent::Message(FromWorker::Closed { .. } | FromWorker::Progress { .. }) => {}
                other => panic!("at the end: {other:?}"),
            }
        }
    }
}

/// A file that holds a PIN. Tests that run at the same time share it.
fn pin_file(pin: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut file = tempfile::NamedTempFile::new_in(folder).expect("a file");
    file.write_all(pin.as_bytes()).expect("written");
    let path = folder.join(format!("pin-{pin}"));
    file.persist(&path).expect("renamed");
    path
}

/// How to open the token of a label.
pub fn token(partition: u32, label: &str, login: Login, pin: Option<&str>) -> Open {
    let uri = TokenUri {
        token: Some(label.to_owned()),
        ..TokenUri::default()
    };
    Open {
        partition,
        token: TokenChoice::Uri(Box::new(uri)),
        first: None,
        login,
        pin: pin.map_or(PinSource::None, |pin| PinSource::File(pin_file(pin))),
        guard_key_may_be_made: true,
        chunk: None,
    }
}
