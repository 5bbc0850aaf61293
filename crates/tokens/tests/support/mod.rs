//! What the tests with real tokens share: a daemon's end of a worker, and tokens to work on.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program includes it as a module and uses a part of it"
)]

pub mod faulty;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use qseed_entropy::Seed;
use qseed_model::Login;
use qseed_secrets::{Secret, SecretRef};
use qseed_tokens::directory::{SlotReport, TokenInfo};
use qseed_tokens::failure::TokenFailure;
use qseed_tokens::supervisor::{LOOK_AGAIN_AFTER, Output, Worker, WorkerEvent, WorkerSpec};
use qseed_tokens::wire::{
    FromWorker, Open, PinOutcome, PinSource, Ready, ToWorker, TokenChoice, Verdict,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
pub const SOFTOKN: &str = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so";

/// Ends a test that would wait for ever; nothing is judged by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says which package a fresh machine lacks.
pub fn need(file: &str, package: &str) {
    let there = Path::new(file).exists();
    assert!(there, "{file} is missing: apt-get install {package}");
}

/// Runs a program that sets a token up.
pub fn set_up(command: &mut Command, package: &str) {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}: apt-get install {package}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {error}");
}

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

/// A folder with `SoftHSM` tokens, and a spy's log.
pub struct SoftHsm {
    pub folder: TempDir,
}

impl SoftHsm {
    /// Makes tokens of these labels; the user's PIN is `1234`, the security officer's `87654321`.
    pub fn with_tokens(labels: &[&str]) -> Self {
        need(SOFTHSM, "softhsm2");
        need(SPY, "opensc-pkcs11");
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = folder.path().join("tokens");
        std::fs::create_dir(&tokens).expect("made");
        let content = format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        );
        std::fs::write(folder.path().join("softhsm2.conf"), content).expect("written");
        let hsm = Self { folder };
        for label in labels {
            hsm.add_token(label);
        }
        hsm
    }

    pub fn add_token(&self, label: &str) {
        self.change_token(&["--init-token", "--free", "--label", label]);
    }

    /// Has another process change what tokens there are: arguments of `softhsm2-util`.
    pub fn change_token(&self, arguments: &[&str]) {
        let mut command = Command::new("softhsm2-util");
        command
            .env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"))
            .args(arguments)
            .args(["--so-pin", "87654321", "--pin", "1234"]);
        set_up(&mut command, "softhsm2");
    }

    /// A worker's specification: the spy in front of `SoftHSM`, writing to the log. One call at a
    /// time, because the spy's lines of several calls would mix.
    pub fn spec(&self) -> WorkerSpec {
        let path = |name| self.folder.path().join(name).display().to_string();
        let environment = vec![
            ("SOFTHSM2_CONF".to_owned(), path("softhsm2.conf")),
            ("PKCS11SPY".to_owned(), SOFTHSM.to_owned()),
            ("PKCS11SPY_OUTPUT".to_owned(), path("spy.log")),
        ];
        WorkerSpec {
            environment,
            concurrency: 1,
            ..spec(SPY, self.folder.path())
        }
    }

    /// The same without the spy, with several calls at a time.
    pub fn spec_without_spy(&self) -> WorkerSpec {
        WorkerSpec {
            module: PathBuf::from(SOFTHSM),
            concurrency: 8,
            ..self.spec()
        }
    }

    /// The calls that reached `SoftHSM`.
    pub fn spy_log(&self) -> SpyLog {
        let text = std::fs::read(self.folder.path().join("spy.log")).expect("a spy's log");
        SpyLog(String::from_utf8_lossy(&text).into_owned())
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
        guard_key_may_be_made: true,
        concurrency: 4,
        look_again_after: LOOK_AGAIN_AFTER,
        output: Output::Lines,
    }
}

/// What pkcs11-spy wrote.
pub struct SpyLog(String);

impl SpyLog {
    /// The calls of a function, each with what stands in the log up to the next call.
    fn calls(&self, function: &str) -> impl Iterator<Item = &str> {
        let heading = format!(": {function}\n");
        let calls: Vec<&str> = self.0.split(&heading).skip(1).collect();
        calls.into_iter().map(|rest| {
            // Each call begins with a blank line.
            rest.split("\n\n").next().unwrap_or_default()
        })
    }

    pub fn count(&self, function: &str) -> usize {
        self.calls(function).count()
    }

    /// The functions in the order in which they were called.
    pub fn functions(&self) -> Vec<&str> {
        let lines = self.0.lines().filter_map(|line| line.split_once(": C_"));
        lines
            .map(|(_, name)| name)
            .filter(|name| !name.contains(' '))
            .collect()
    }

    /// The bytes of each `C_SeedRandom`.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        self.calls("C_SeedRandom").map(dumped).collect()
    }
}

/// The bytes of a dump: lines of an offset of eight digits, two blanks, and pairs of digits.
fn dumped(call: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in call.lines() {
        let line = line.trim_start();
        let Some((offset, rest)) = line.split_once("  ") else {
            continue;
        };
        if offset.len() != 8 || !offset.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        let pairs = rest.split(' ').take_while(|pair| pair.len() == 2).take(16);
        bytes.extend(pairs.map_while(|pair| u8::from_str_radix(pair, 16).ok()));
    }
    bytes
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
        let worker = Worker::spawn(spec, 7, sender).expect("a worker");
        Self {
            worker,
            events,
            output: Vec::new(),
        }
    }

    /// Starts a worker whose module loads.
    pub async fn ready(spec: &WorkerSpec) -> (Self, Ready) {
        let mut daemon = Self::start(spec);
        match daemon.message().await {
            FromWorker::Ready(ready) => (daemon, ready),
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
        assert_eq!(self.let_log_in().await, PinOutcome::Accepted);
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

    pub fn say(&self, partition: u32, ask: u64, verdict: Verdict) {
        self.worker.send(ToWorker::Verdict {
            partition,
            ask,
            verdict,
        });
    }

    pub async fn outcome(&mut self) -> PinOutcome {
        match self.message().await {
            FromWorker::PinOutcome { outcome, .. } => outcome,
            other => panic!("no outcome: {other:?}"),
        }
    }

    /// Lets a PIN be presented and tells what became of it.
    pub async fn let_log_in(&mut self) -> PinOutcome {
        let (partition, ask, _) = self.asked().await;
        self.say(partition, ask, Verdict::Go);
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

/// How to open the token of a label.
pub fn token(partition: u32, label: &str, login: Login, pin: Option<&str>) -> Open {
    let uri = format!("pkcs11:token={label}")
        .parse()
        .map(Box::new)
        .expect("a URI");
    let literal = |pin: &str| SecretRef::Literal(Secret::new(pin.as_bytes().to_vec()));
    Open {
        partition,
        token: TokenChoice::Uri(uri),
        first: None,
        login,
        pin: pin.map_or(PinSource::None, |pin| PinSource::Reference(literal(pin))),
        chunk: None,
    }
}
