//! A visit to a module: a worker process for as long as one command needs it.
//!
//! The daemon's workers are run by its loop and the engine; a command asks a few questions, one
//! after the other, and wants to hear what the module wrote to its output even where it fails.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use qseed_config::Module;
use qseed_tokens::ckr::{Ckr, Function};
use qseed_tokens::directory::SlotReport;
use qseed_tokens::failure::TokenFailure;
use qseed_tokens::supervisor::{
    LOOK_AGAIN_AFTER, Misbehaviour, Output, Worker, WorkerEvent, WorkerSpec,
};
use qseed_tokens::wire::{FromWorker, Ready, ToWorker};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use crate::exit::Failure;
use crate::log::format_duration;

/// More events than one worker has under way at once.
const WAITING_EVENTS: usize = 64;
/// Lines of a module's output that are kept.
const MAX_OUTPUT: usize = 100;
/// How long a killed process may take to go, before it counts as stuck in the kernel.
const GONE_AFTER: Duration = Duration::from_secs(3);
/// There is one listing at a time.
const REQUEST: u64 = 1;

/// Why a module can be asked no more.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// No process could be started.
    #[error("cannot start a worker process: {0}")]
    Start(String),
    /// The module cannot be loaded or initialised.
    #[error("{0}")]
    Module(TokenFailure),
    /// A call took longer than allowed.
    #[error("the module hangs: a call took longer than {}", format_duration(*.0))]
    Hung(Duration),
    /// Its process ended, as it does when the module crashes or calls `exit`.
    #[error("the module ended its process ({0})")]
    Ended(ExitStatus),
    /// The worker does not keep to the protocol.
    #[error("{0}")]
    Protocol(Misbehaviour),
}

impl Lost {
    /// What an operator looks at next.
    pub(crate) fn fix(&self, module: &Path) -> String {
        let module = module.display();
        match self {
            Self::Start(_) => "see the limits on processes and memory of this user".to_owned(),
            Self::Module(failure) if failure.function.is_none() => format!(
                "check the path, and that it is the vendor's library for this machine; `ldd \
                 {module}` shows whether a library that it needs is missing"
            ),
            Self::Module(failure)
                if failure.function == Some(Function::Initialize)
                    && failure.ckr == Some(Ckr::ARGUMENTS_BAD) =>
            {
                "set `init_args` in the configuration, --init-args for `qseed slots`, as the \
                 module's documentation says"
                    .to_owned()
            }
            Self::Module(_) => "the vendor's documentation says which files and environment \
                 variables the module needs (`modules:`, `environment:` in the configuration)"
                .to_owned(),
            Self::Hung(_) => {
                "look at the HSM, its driver and its network; `deadline` of the module is the \
                 longest that one call may take"
                    .to_owned()
            }
            Self::Ended(_) | Self::Protocol(_) => {
                "try the module with another program (pkcs11-tool --module); if it fails there \
                 too, ask its vendor"
                    .to_owned()
            }
        }
    }

    /// Whether it is a matter of permission.
    pub(crate) fn is_permission(&self, module: &Path) -> bool {
        match self {
            Self::Module(failure) if failure.function.is_none() => {
                let closed =
                    File::open(module).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
                closed || failure.text.contains("Permission denied")
            }
            _ => false,
        }
    }
}

/// How a worker of `module` is started; the files of the PIN guard are in `state_dir`.
pub(crate) fn worker_spec(module: &Module, withheld: Vec<String>, state_dir: &Path) -> WorkerSpec {
    WorkerSpec {
        // Two versions must not mix, even while the program is being upgraded.
        program: PathBuf::from("/proc/self/exe"),
        module: module.path.clone(),
        init_args: module.init_args.clone(),
        environment: module.environment.clone(),
        withheld,
        guard_key: guard_key_in(state_dir),
        guard_key_may_be_made: false,
        concurrency: 1,
        look_again_after: LOOK_AGAIN_AFTER,
        // No PIN and no seed has reached the module, unless its trial says otherwise.
        output: Output::Lines,
    }
}

/// Where the PIN guard's key is in a state directory.
pub(crate) fn guard_key_in(state_dir: &Path) -> PathBuf {
    state_dir.join(crate::guard_file::KEY)
}

/// Runs a command's asynchronous part on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("cannot start", error))?;
    let result = runtime.block_on(future);
    // A name that is still being looked up must not hold the end up.
    runtime.shutdown_background();
    Ok(result)
}

/// A worker process and what it said.
#[derive(Debug)]
pub(crate) struct Visit {
    worker: Worker,
    events: Receiver<(u32, WorkerEvent)>,
    deadline: Duration,
    output: Vec<String>,
    exited: bool,
}

impl Visit {
    /// Starts a worker. `deadline` is the longest that one call of the module may take.
    pub(crate) fn begin(spec: &WorkerSpec, deadline: Duration) -> Result<Self, Lost> {
        let (sender, events) = channel(WAITING_EVENTS);
        let worker =
            Worker::spawn(spec, 0, sender).map_err(|error| Lost::Start(error.to_string()))?;
        Ok(Self {
            worker,
            events,
            deadline,
            output: Vec::new(),
            exited: false,
        })
    }

    pub(crate) fn send(&self, message: ToWorker) {
        self.worker.send(message);
    }

    /// The next message that says more than that something moves on.
    pub(crate) async fn message(&mut self) -> Result<FromWorker, Lost> {
        loop {
            let event = timeout(self.deadline, self.events.recv()).await;
            // The worker's own tasks hold the channel's other end until it has exited.
            let Ok(Some((_, event))) = event else {
                return Err(Lost::Hung(self.deadline));
            };
            match self.take_in(event)? {
                None | Some(FromWorker::Progress { .. } | FromWorker::Waits { .. }) => {}
                Some(FromWorker::InitFailed(failure)) => return Err(Lost::Module(failure)),
                Some(message) => return Ok(message),
            }
        }
    }

    fn take_in(&mut self, event: WorkerEvent) -> Result<Option<FromWorker>, Lost> {
        match event {
            WorkerEvent::Message(message) => return Ok(Some(message)),
            WorkerEvent::Output { line, .. } if self.output.len() < MAX_OUTPUT => {
                self.output.push(line);
            }
            WorkerEvent::Output { .. } | WorkerEvent::OutputWithheld { .. } => {}
            WorkerEvent::Misbehaves(how) => return Err(Lost::Protocol(how)),
            WorkerEvent::Exited(status) => {
                self.exited = true;
                return Err(Lost::Ended(status));
            }
        }
        Ok(None)
    }

    /// What the module says of itself, once it is loaded.
    pub(crate) async fn ready(&mut self) -> Result<Ready, Lost> {
        loop {
            if let FromWorker::Ready(ready) = self.message().await? {
                return Ok(ready);
            }
        }
    }

    /// Reads every slot into `slots`, which holds what was read even where the rest fails.
    pub(crate) async fn list(&mut self, slots: &mut Vec<SlotReport>) -> Result<(), Lost> {
        self.send(ToWorker::List { request: REQUEST });
        loop {
            match self.message().await? {
                FromWorker::Slot { slot, .. } => slots.push(slot),
                FromWorker::Listed { failure: None, .. } => return Ok(()),
                FromWorker::Listed {
                    failure: Some(failure),
                    ..
                } => return Err(Lost::Module(failure)),
                _ => {}
            }
        }
    }

    /// Ends the worker, at once where it is past hope, and returns what the module wrote to
    /// standard output and error.
    pub(crate) async fn end(mut self, lost: bool) -> Vec<String> {
        if lost {
            self.worker.kill();
        } else {
            self.send(ToWorker::Shutdown);
        }
        let mut patience = if lost { GONE_AFTER } else { self.deadline };
        while !self.exited {
            match timeout(patience, self.events.recv()).await {
                Ok(Some((_, event))) => drop(self.take_in(event)),
                // A module that hangs in C_Finalize has told all.
                Err(_) if patience > GONE_AFTER => {
                    self.worker.kill();
                    patience = GONE_AFTER;
                }
                Ok(None) | Err(_) => break,
            }
        }
        self.output
    }
}
