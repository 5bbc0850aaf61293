//! What the ledger costs: one daemon without it, and one with it in each mode, with the same work.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::Command;

use super::procfs::{Family, Thread};
use super::recording::Recording;
use super::{Row, millis};
use crate::daemon::{Program, Service, write_private};
use crate::failure::Failure;

const MODULE: &str = "libqseed_faulty_token.so";

/// Partitions of each daemon.
const PARTITIONS: u64 = 10_000;

/// Longest time until each partition was seeded once.
const STARTING: Duration = Duration::from_secs(300);

/// Of the seeds a second without a ledger, so many must be left with one.
const LEFT: f64 = 0.5;

/// A ledger's mode; none: no ledger.
type Mode = Option<&'static str>;

const MODES: [Mode; 3] = [None, Some("best-effort"), Some("required")];

/// One daemon with its tokens, which take every seed at once.
struct Running {
    program: Program,
    recording: Recording,
    daemon: u32,
    _folder: TempDir,
}

/// What a daemon did in a time.
struct Work {
    time: Duration,
    seeds: u64,
    /// CPU time of daemon and worker.
    cpu: Duration,
    /// The ledger's thread.
    ledger: Thread,
}

pub(super) async fn compare(
    service: &Service,
    programs: &Path,
    window: Duration,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    println!("Measuring what the ledger costs …");
    // As many as they can: one after the other, or they would take the processor from each other.
    let mut fast = Vec::new();
    for mode in MODES {
        let mut daemon = Running::start(service, programs, mode, "1s").await?;
        fast.push(daemon.work(window / 3).await?);
        daemon.end().await?;
    }
    // What large installations do: at once, so that the machine's other work spoils no comparison.
    let [none, best_effort, required] = MODES;
    let mut daemons = tokio::try_join!(
        Running::start(service, programs, none, "10s"),
        Running::start(service, programs, best_effort, "10s"),
        Running::start(service, programs, required, "10s"),
    )?;
    let steady = tokio::try_join!(
        daemons.0.work(window),
        daemons.1.work(window),
        daemons.2.work(window),
    )?;
    tokio::try_join!(daemons.0.end(), daemons.1.end(), daemons.2.end())?;
    let steady = [steady.0, steady.1, steady.2];
    for (at, mode) in MODES.iter().enumerate() {
        let Some(mode) = mode else { continue };
        rows.push(speed_row(mode, &fast[at], &fast[0]));
        rows.push(cost_row(mode, &steady[at], &steady[0]));
        rows.push(ledger_row(mode, &steady[at]));
    }
    Ok(rows)
}

impl Running {
    /// Starts one and waits until each partition was seeded.
    async fn start(
        service: &Service,
        programs: &Path,
        mode: Mode,
        period: &str,
    ) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("qseed-bench-").tempdir();
        let folder = folder.map_err(Failure::io("a folder for the measurements"))?;
        let path = folder.path();
        let configuration = path.join("qseed.yml");
        write_private(&configuration, &text(service, path, mode, period))?;
        fs::copy(programs.join(MODULE), path.join(MODULE))
            .and_then(|_| {
                fs::write(
                    path.join("faults.json"),
                    format!("{{\"slots\":{PARTITIONS}}}"),
                )
            })
            .map_err(Failure::io(path.display().to_string()))?;
        let mut command = Command::new(programs.join("qseed"));
        command.arg("--config").arg(&configuration);
        let program = Program::start(&mut command)?;
        let gone = || Failure::said("qseed ended as soon as it had started");
        let mut running = Self {
            daemon: program.id().ok_or_else(gone)?,
            program,
            recording: Recording::new(&path.join("record.jsonl")),
            _folder: folder,
        };
        let until = Instant::now() + STARTING;
        while running.recording.seeds()? < PARTITIONS {
            if Instant::now() > until {
                return Err(Failure::said("qseed does not seed each partition"));
            }
            running.wait(Duration::from_secs(1)).await?;
        }
        // What the start leaves behind is no part of the figures.
        running.wait(Duration::from_secs(10)).await?;
        Ok(running)
    }

    /// Waits and reads away what it logs.
    async fn wait(&mut self, time: Duration) -> Result<(), Failure> {
        let over = tokio::time::sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                line = self.program.line() => if line?.is_none() {
                    return Err(Failure::said("qseed ended while it was measured"));
                },
                () = &mut over => return Ok(()),
            }
        }
    }

    async fn work(&mut self, window: Duration) -> Result<Work, Failure> {
        let family = Family::of(self.daemon)?;
        let (began, seeds) = (Instant::now(), self.recording.seeds()?);
        let (cpu, ledger) = (family.cpu()?, Thread::named("ledger", self.daemon)?);
        self.wait(window).await?;
        Ok(Work {
            time: began.elapsed(),
            cpu: family.cpu()?.saturating_sub(cpu),
            ledger: Thread::named("ledger", self.daemon)?.since(&ledger),
            seeds: self.recording.seeds()? - seeds,
        })
    }

    async fn end(&mut self) -> Result<(), Failure> {
        self.program.interrupt();
        self.program.ended().await.map(drop)
    }
}

fn text(service: &Service, folder: &Path, mode: Mode, period: &str) -> String {
    let ledger = mode.map_or(String::new(), |mode| format!("audit: {{ mode: {mode} }}\n"));
    let partitions = (0..PARTITIONS).map(|slot| format!("  - {{ name: p{slot}, slot: {slot} }}\n"));
    format!(
        "sources:
  - name: simulator
    type: qrypt
    url: {url}
    access_token: {token}
    rate_limit: 1000/10s
    tls: {{ ca: {ca} }}
defaults: {{ module: {folder}/{MODULE}, login: none, period: {period} }}
state_dir: {folder}/state
control_socket: {folder}/control.sock
{ledger}partitions:
{partitions}",
        url = service.url,
        token = service.token,
        ca = service.ca.display(),
        folder = folder.display(),
        partitions = partitions.collect::<String>(),
    )
}

impl Work {
    fn seeds_a_second(&self) -> f64 {
        count(self.seeds) / self.time.as_secs_f64()
    }

    fn cpu_a_seed(&self) -> Duration {
        self.cpu.div_f64(count(self.seeds).max(1.0))
    }
}

fn speed_row(mode: &str, with: &Work, without: &Work) -> Row {
    let (with, without) = (with.seeds_a_second(), without.seeds_a_second());
    let left = with / without;
    Row {
        what: format!(
            "seeds a second with a ledger, {mode}: {PARTITIONS} partitions that want one each second"
        ),
        qseed: format!("{with:.0}"),
        compared_with: format!("{without:.0} without a ledger"),
        verdict: format!("{left:.2} of those without (at least {LEFT})"),
        good: left >= LEFT,
    }
}

fn cost_row(mode: &str, with: &Work, without: &Work) -> Row {
    let (with, without) = (with.cpu_a_seed(), without.cpu_a_seed());
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    Row {
        what: format!("CPU per seed with a ledger, {mode}: {PARTITIONS} partitions, period 10 s"),
        qseed: millis(with),
        compared_with: format!("{} without a ledger", millis(without)),
        verdict: format!("{ratio:.2} times"),
        good: true,
    }
}

fn ledger_row(mode: &str, work: &Work) -> Row {
    let seconds = work.time.as_secs_f64();
    let gigabytes = count(work.ledger.bytes_written) / seconds * 86_400.0 / 1e9;
    let core = work.ledger.cpu.as_secs_f64() / seconds * 100.0;
    // A sync follows a write; some writes only wake the daemon's loop.
    let writes = count(work.ledger.writes) / seconds;
    let a_seed = count(work.ledger.bytes_written) / count(work.seeds).max(1.0);
    Row {
        what: format!("the ledger's thread, {mode}: {PARTITIONS} partitions, period 10 s"),
        qseed: format!(
            "{gigabytes:.1} GB a day ({a_seed:.0} bytes a seed), {core:.1} % of a core, \
             at most {writes:.1} syncs a second"
        ),
        compared_with: String::new(),
        verdict: String::new(),
        good: true,
    }
}

/// Counts here are far below 2^32.
fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
