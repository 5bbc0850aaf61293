//! The daemon's side of a worker: starts it, exchanges messages with it, ends it.
//!
//! A worker never makes the daemon wait: messages to it queue up, and its messages arrive as events.
//! The events' channel is bounded and takes one event of each worker in turn. A worker that sends
//! more than its calls need is not read any further.

mod allowance;
mod output;
mod streams;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

pub use crate::kept_pins::KeptPins;
use allowance::{Allowance, Earned};
pub use output::Stream;
pub use qseed_model::Output;
use qseed_sandbox::Closed;

use crate::wire::{self, FromWorker, Hello, ToWorker};

/// How long after a worker's end its output is still read: a process that the module started may
/// hold the pipes open for ever.
const READ_AFTER_END: Duration = Duration::from_secs(1);

/// How long ago a token may have been checked when it gets a seed.
///
/// `SoftHSM` takes seeds for a token that another process deleted or initialised again, for as long
/// as the session is open, and answers `CKR_OK`. One `C_GetTokenInfo` a minute and partition is
/// what a monitoring script asks of an HSM, and less than the seeds of most.
pub const RECHECK_AFTER: Duration = Duration::from_secs(60);

/// Closed files of one message: a path has 4 KiB at most.
const CLOSED_AT_ONCE: usize = wire::MAX_FRAME_BYTES / 4_200;

/// How to start a module's worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSpec {
    /// The program; normally `/proc/self/exe`, so that an upgrade does not mix versions.
    pub program: PathBuf,
    /// The Cryptoki library.
    pub module: PathBuf,
    /// A text for `C_Initialize`, in NSS's layout.
    pub init_args: Option<String>,
    /// Variables that are set for this worker alone, on top of the daemon's environment.
    pub environment: Vec<(String, String)>,
    /// Names of variables that the worker must not inherit: the ones that hold secrets.
    pub withheld: Vec<String>,
    /// The file that holds the PIN guard's key.
    pub guard_key: PathBuf,
    /// Whether the guard's key may be made if it is missing.
    pub guard_key_may_be_made: bool,
    /// Whether the module may use the network.
    pub network: bool,
    /// Files that the module must not open.
    pub closed: Vec<Closed>,
    /// How many Cryptoki calls may run at once, at least 1.
    pub concurrency: u16,
    /// How long ago a token may have been checked when it gets a seed: [`RECHECK_AFTER`].
    pub recheck_after: Duration,
    /// What the daemon does with the module's standard output and error.
    pub output: Output,
}

/// What happens at a worker.
#[derive(Debug)]
pub enum WorkerEvent {
    /// A message.
    Message(FromWorker),
    /// The module, or a library of it, wrote a line to standard output or error.
    Output {
        /// Which of the two.
        stream: Stream,
        /// The line, at most 1,000 characters, control characters escaped.
        line: String,
    },
    /// The module wrote more lines, which are not passed on.
    OutputWithheld {
        /// How many lines.
        lines: u64,
    },
    /// It breaks the protocol and is not read any further: kill it.
    Misbehaves(Misbehaviour),
    /// It ended: the last event of a worker.
    Exited(ExitStatus),
}

/// How a worker breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// It sends more than its calls need.
    #[error("its worker process floods qseed with messages")]
    Floods,
    /// What it sends is no message.
    #[error("its worker process does not speak the protocol: {0}")]
    Frame(#[from] wire::FrameError),
}

/// Where events go: the worker's id comes with each.
pub type Events = mpsc::Sender<(u32, WorkerEvent)>;

/// A worker process. Dropping it kills the process.
#[derive(Debug)]
pub struct Worker {
    pid: u32,
    outgoing: mpsc::UnboundedSender<ToWorker>,
    earned: Earned,
    killed: Arc<Notify>,
}

impl Worker {
    /// Starts a worker, gives it its PINs and says hello to it. `Ready` or `InitFailed` is its first
    /// message.
    ///
    /// The worker dies with the *thread* that calls this: call it on the daemon's main thread.
    ///
    /// # Errors
    /// What the system says where no process, socket or pipe could be made.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(
        spec: &WorkerSpec,
        pins: Option<&KeptPins>,
        id: u32,
        events: Events,
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let pins = pins.map(KeptPins::copy).transpose()?;
        streams::greet(&ours, &ToWorker::Hello(hello(spec)), pins.as_ref())?;
        let writer = OwnedFd::from(ours.try_clone()?);
        // Registered like the end of a pipe, for reading only.
        let reader = pipe::Receiver::from_owned_fd_unchecked(ours.into())?;
        let mut child = command(spec, theirs.into()).spawn()?;
        let gone = || io::Error::other("the worker ended before it began");
        let pid = child.id().ok_or_else(gone)?;
        let events = Reporter { id, events };
        let allowance = Allowance::new(spec.concurrency, tokio::time::Instant::now());
        let earned = allowance.earned();

        let mut streams = JoinSet::new();
        streams.spawn(streams::read_messages(reader, allowance, events.clone()));
        if let Some(pipe) = child.stdout.take() {
            output::read(&mut streams, spec.output, pipe, Stream::Output, &events);
        }
        if let Some(pipe) = child.stderr.take() {
            output::read(&mut streams, spec.output, pipe, Stream::Error, &events);
        }
        let (outgoing, queue) = mpsc::unbounded_channel();
        let killed = Arc::new(Notify::new());
        tokio::spawn(streams::write_messages(writer, queue));
        tokio::spawn(watch(child, pid, Arc::clone(&killed), streams, events));

        // For the `Hello`.
        earned.add(false);
        let worker = Self {
            pid,
            outgoing,
            earned,
            killed,
        };
        for closed in spec.closed.chunks(CLOSED_AT_ONCE) {
            // The queue is closed once the worker is gone, which `Exited` says.
            let _ = worker.outgoing.send(ToWorker::Closes(closed.to_vec()));
        }
        Ok(worker)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Queues a message and returns at once. Messages to a worker that has ended are wiped.
    pub fn send(&self, message: ToWorker) {
        self.earned.add(matches!(message, ToWorker::List { .. }));
        // The queue is closed once the worker is gone, which `Exited` says.
        let _ = self.outgoing.send(message);
    }

    /// Ends the process, and those that its module started, with SIGKILL. `Exited` follows,
    /// unless the process is stuck in the kernel.
    pub fn kill(&self) {
        self.killed.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where one worker's events go.
#[derive(Clone)]
struct Reporter {
    id: u32,
    events: Events,
}

impl Reporter {
    /// Waits until the daemon takes the event. `false` if it no longer listens.
    async fn report(&self, event: WorkerEvent) -> bool {
        self.events.send((self.id, event)).await.is_ok()
    }
}

/// Variables by which the daemon reaches the service manager; a module must not.
const OF_THE_MANAGER: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

fn command(spec: &WorkerSpec, socket: OwnedFd) -> Command {
    let mut command = Command::new(&spec.program);
    command
        .arg0("qseed")
        .arg("worker")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A terminal's Ctrl-C goes to the whole group; a worker is ended by the daemon alone.
        .process_group(0)
        .kill_on_drop(true);
    for name in OF_THE_MANAGER {
        command.env_remove(name);
    }
    for name in &spec.withheld {
        command.env_remove(name);
    }
    command.envs(spec.environment.iter().map(|(name, value)| (name, value)));
    command
}

fn hello(spec: &WorkerSpec) -> Hello {
    Hello {
        version: wire::VERSION,
        daemon: std::process::id(),
        module: spec.module.clone(),
        init_args: spec.init_args.clone(),
        guard_key: spec.guard_key.clone(),
        guard_key_may_be_made: spec.guard_key_may_be_made,
        network: spec.network,
        closing: spec.closed.len().div_ceil(CLOSED_AT_ONCE) as u64,
        concurrency: spec.concurrency,
        recheck_after: spec.recheck_after,
    }
}

/// Waits for the process's end, or kills it, and reports the end after all its messages.
async fn watch(
    mut child: Child,
    pid: u32,
    killed: Arc<Notify>,
    mut streams: JoinSet<()>,
    events: Reporter,
) {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = killed.notified() => kill_group(pid),
        }
    };
    // Processes that the module started. While there is one, the group's id is no other's; with none,
    // numbers would have to go once around within this moment.
    kill_group(pid);
    let all_read = async { while streams.join_next().await.is_some() {} };
    if tokio::time::timeout(READ_AFTER_END, all_read)
        .await
        .is_err()
    {
        streams.abort_all();
    }
    // Waiting fails for a process that is not ours or was waited for: neither can be.
    let status = status.unwrap_or_default();
    events.report(WorkerEvent::Exited(status)).await;
}

/// Kills the worker's process group.
fn kill_group(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::{OF_THE_MANAGER, Output, WorkerSpec, command};

    #[test]
    fn a_worker_inherits_no_variable_of_the_service_manager() {
        let spec = WorkerSpec {
            program: "/proc/self/exe".into(),
            module: "module.so".into(),
            init_args: None,
            environment: Vec::new(),
            withheld: Vec::new(),
            guard_key: "guard.key".into(),
            guard_key_may_be_made: false,
            network: true,
            closed: Vec::new(),
            concurrency: 1,
            recheck_after: std::time::Duration::from_secs(1),
            output: Output::Count,
        };
        let null = std::fs::File::open("/dev/null").expect("a device");
        let command = command(&spec, null.into());
        for name in OF_THE_MANAGER {
            let mut removed = command.as_std().get_envs();
            assert!(removed.any(|variable| variable == (name.as_ref(), None)));
        }
    }
}
