//! The ledger: a record of each injection, written to a file that nobody can change unnoticed.
//!
//! `qseed_ledger` makes and checks the records, the tree and the signatures. Here are the files and
//! the thread that writes them. The daemon's loop hands records over and never waits for the disk.
//!
//! | | `best-effort` | `required` |
//! |---|---|---|
//! | before a seed leaves | nothing | its intent is on the disk |
//! | a line of the log about a seed | at once | when its record is on the disk |
//! | while the ledger cannot be written | records wait in memory, up to 20,000 or 32 MiB; qseed drops and counts the rest | no seed leaves; records of seeds are never dropped, others beyond those bounds are |
//! | after SIGKILL or a power cut | records of the last moment may be missing | each seed that a token got has at least its intent |

pub(crate) mod examine;
mod files;
pub(crate) mod growth;
pub(crate) mod key;
pub(crate) mod names;
mod queue;
mod scan;
mod standing;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use qseed_config::{Audit, AuditMode, Rotate};
use qseed_engine::Intent;
use qseed_ledger::record::{self, Body};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::exit::Failure;
use crate::state_dir::{Acting, StateDir, StateDirError};
use files::Place;
pub(crate) use files::{Opened, folder_of};
use key::KeyPlace;
use queue::Queue;
pub(crate) use queue::Ticket;
pub(crate) use standing::News;
use standing::Standing;
use writer::Writer;

/// How long the start waits for the files to be opened. A disk that takes longer delays only the
/// ledger.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// How long the last records and the last signature may take.
const LAST_RECORDS_WITHIN: Duration = Duration::from_millis(500);

/// What the ledger reports to the daemon's loop.
#[derive(Debug)]
pub(crate) enum Report {
    /// The files are open.
    Opened(Opened),
    /// The thread cannot write: for [`Ledger::fail`].
    Failed(String),
    /// The thread can write again: for [`Ledger::work`].
    Works,
    /// News for the log: the ledger can no longer be written, still cannot, or can again.
    News(News),
    /// Whether these seeds were recorded. Only then they may leave.
    Intents {
        intents: Vec<Intent>,
        recorded: bool,
    },
    /// A strong checkpoint was made: the signed note.
    Signed(String),
    /// With `mode: required`: records are on the disk, up to [`Ledger::recorded`].
    Recorded,
}

/// The handle of the ledger's thread.
#[derive(Debug)]
pub(crate) struct Ledger {
    queue: Arc<Queue>,
    reports: UnboundedReceiver<Report>,
    /// The other end of `reports`, for what the handle finds itself.
    to_reports: UnboundedSender<Report>,
    /// Disconnected when the thread has written everything.
    finished: Receiver<()>,
    /// The file that is written.
    pub(crate) file: PathBuf,
    pub(crate) mode: AuditMode,
    standing: Standing,
}

impl Ledger {
    /// Starts the thread, which opens the ledger or begins one.
    ///
    /// # Errors
    /// If the daemon must not start: the files are not to be trusted, the key is none, or another
    /// process writes the ledger. What may pass is tried again by the thread.
    pub(crate) fn start(
        audit: &Audit,
        state_dir: &Path,
        hardening: std::collections::BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let (to_reports, reports) = unbounded_channel();
        let file = file(audit, state_dir);
        let place = Place {
            file: file.clone(),
            key: KeyPlace::new(audit.signing_key.as_ref(), state_dir),
            host: host(),
            hardening,
        };
        let queue = Arc::new(Queue::default());
        queue.set_rotate(audit.rotate);
        let writer = Writer::new(place, audit.mode, Arc::clone(&queue), to_reports.clone());
        let (to_opened, opened) = sync_channel(1);
        let (until_written, finished) = channel();
        std::thread::Builder::new()
            .name("ledger".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || {
                writer.run(&to_opened);
                drop(until_written);
            })
            .map_err(|error| Failure::internal("cannot start a thread", error))?;
        if let Ok(result) = opened.recv_timeout(OPEN_WITHIN) {
            result?;
        }
        Ok(Self {
            queue,
            reports,
            to_reports,
            finished,
            file,
            mode: audit.mode,
            standing: Standing::default(),
        })
    }

    /// Has something recorded. The record counts once [`Ledger::recorded`] has reached the ticket.
    pub(crate) fn record(&self, body: Body) -> Ticket {
        let of_seeds = matches!(body, Body::Intent(_) | Body::Seed(_) | Body::Refused(_));
        let must_be_kept = self.mode == AuditMode::Required && of_seeds;
        self.queue
            .add(Timestamp::now(), body, Vec::new(), must_be_kept)
    }

    /// Has it recorded that seeds are about to leave. Answered by [`Report::Intents`].
    pub(crate) fn intend(&self, intents: Vec<Intent>, body: Body) {
        if self.standing.fails() {
            self.refuse(intents);
        } else {
            self.queue.add(Timestamp::now(), body, intents, true);
        }
    }

    fn refuse(&self, intents: Vec<Intent>) {
        if !intents.is_empty() {
            let recorded = false;
            self.report(Report::Intents { intents, recorded });
        }
    }

    /// The last record that is on the disk, with all before it.
    pub(crate) fn recorded(&self) -> Ticket {
        self.queue.recorded()
    }

    /// Takes in that the thread cannot write.
    pub(crate) fn fail(&mut self, why: String) {
        let lost = self.queue.lost_in_all();
        let news = self.standing.fail(Instant::now(), why, lost);
        self.announce(news);
    }

    /// Takes in that the thread can write again.
    pub(crate) fn work(&mut self) {
        let lost = self.queue.lost_in_all();
        let news = self.standing.work(Instant::now(), lost);
        self.announce(news);
    }

    /// When [`Ledger::due`] has something to do, if nothing changes before.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.standing.wake(self.queue.busy_since())
    }

    /// Notices a disk that hangs, and repeats what the log says of trouble.
    pub(crate) fn due(&mut self) {
        let (busy, lost) = (self.queue.busy_since(), self.queue.lost_in_all());
        let news = self.standing.due(Instant::now(), busy, lost);
        self.announce(news);
    }

    fn report(&self, report: Report) {
        let _ = self.to_reports.send(report);
    }

    fn announce(&self, news: Option<News>) {
        let Some(news) = news else { return };
        if matches!(news, News::Fails { .. }) {
            self.refuse(self.queue.refuse_intents());
        }
        self.report(Report::News(news));
    }

    /// Waits for the next report.
    pub(crate) async fn next(&mut self) -> Option<Report> {
        self.reports.recv().await
    }

    /// Takes on another rotation. Everything else takes effect at the next start.
    pub(crate) fn configure(&self, rotate: Rotate) {
        self.queue.set_rotate(rotate);
    }

    /// Records that the daemon ends, and why, and signs the last records; but waits for no disk that
    /// hangs. Returns how many records are not on the disk.
    pub(crate) fn finish(&self, because: &str) -> u64 {
        let because = because.to_owned();
        self.record(Body::Stopped(record::Stopped { because }));
        self.queue.close();
        let _ = self.finished.recv_timeout(LAST_RECORDS_WITHIN);
        self.queue.unrecorded()
    }
}

/// The path of the ledger's file.
pub(crate) fn file(audit: &Audit, state_dir: &Path) -> PathBuf {
    state_dir.join(&audit.file)
}

/// The path of the file with its newest checkpoint.
pub(crate) fn checkpoint_file(file: &Path) -> PathBuf {
    file.with_file_name(names::Names::of(file).checkpoint())
}

/// Puts the newest note that a witness cosigned beside the ledger.
pub(crate) fn write_witnessed(file: &Path, note: &str) -> Result<(), StateDirError> {
    let name = names::Names::of(file).witnessed();
    open_folder(file)?.replace(&name, note.as_bytes())?;
    Ok(())
}

/// The folder that the ledger's files are in.
fn open_folder(file: &Path) -> Result<StateDir, StateDirError> {
    StateDir::open(folder_of(file), Acting::ForItself)
}

/// The host's name, as the name of a key may have it.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return "localhost".to_owned();
    }
    name.to_owned()
}
