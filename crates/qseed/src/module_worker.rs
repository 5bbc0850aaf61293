//! A worker process for one command: it answers a few questions about a module, one after the
//! other. The daemon's workers belong to its loop and the engine.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use qseed_config::Module;
use qseed_tokens::ckr::{Ckr, Function};
use qseed_tokens::directory::{LibraryInfo, SlotReport};
use qseed_tokens::failure::TokenFailure;
use qseed_tokens::supervisor::{
    KeptPins, LOOK_AGAIN_AFTER, Misbehaviour, Output, Worker, WorkerEvent, WorkerSpec,
};
use qseed_tokens::wire::{FromWorker, ToWorker};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use crate::exit::{Code, Failure};
use crate::log::{format_duration, printable};

/// More events than one worker has under way at once.
const WAITING_EVENTS: usize = 64;
/// Lines of a module's output that are kept.
const MAX_OUTPUT: usize = 100;
/// How long a killed process may take to end, before it counts as stuck in the kernel.
const GONE_AFTER: Duration = Duration::from_secs(3);

/// Why a module answers no more questions.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ModuleFailure {
    #[error("cannot start a worker process: {0}")]
    Start(String),
    /// The module cannot be loaded or initialised, or cannot list its slots.
    #[error("{0}")]
    Call(TokenFailure),
    #[error("the module hangs: a call took longer than {}", format_duration(*.0))]
    Hung(Duration),
    /// The module crashed or called `exit`.
    #[error("the module ended its process ({0})")]
    Ended(ExitStatus),
    #[error("{0}")]
    Protocol(Misbehaviour),
}

impl ModuleFailure {
    /// What the operator can do.
    pub(crate) fn advice(&self, module: &Path) -> String {
        let name = module.display();
        match self {
            Self::Start(_) => "see the limits on processes and memory of this user".to_owned(),
            Self::Call(_) if self.is_permission(module) => {
                "let this user read the module and the libraries that it needs".to_owned()
            }
            Self::Call(failure) if failure.function.is_none() => format!(
                "check the path, and that it is the vendor's library for this machine; `ldd \
                 {name}` shows whether a library that it needs is missing"
            ),
            Self::Call(failure)
                if failure.function == Some(Function::Initialize)
                    && failure.ckr == Some(Ckr::ARGUMENTS_BAD) =>
            {
                "set `init_args` in the configuration, --init-args for `qseed slots`, as the \
                 module's documentation says"
                    .to_owned()
            }
            Self::Call(_) => "the vendor's documentation says which files and environment \
                 variables the module needs (`modules:`, `environment:` in the configuration)"
                .to_owned(),
            Self::Hung(_) => "check the HSM, its driver and its network; `deadline` of the module \
                 is the longest that one call may take"
                .to_owned(),
            Self::Ended(_) | Self::Protocol(_) => {
                "try the module with another program (pkcs11-tool --module); if it fails there \
                 too, ask its vendor"
                    .to_owned()
            }
        }
    }

    /// The exit code of a command that needs the module.
    pub(crate) fn code(&self, module: &Path) -> Code {
        if self.is_permission(module) {
            Code::Permission
        } else {
            Code::Unavailable
        }
    }

    /// Whether this user may not read the module or a library that it needs.
    fn is_permission(&self, module: &Path) -> bool {
        let Self::Call(failure) = self else {
            return false;
        };
        let is_closed =
            || File::open(module).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
        failure.function.is_none() && (failure.text.contains("Permission denied") || is_closed())
    }
}

/// How a worker of `module` is started; the files of the PIN guard are in `state_dir`.
pub(crate) fn worker_spec(module: &Module, withheld: Vec<String>, state_dir: &Path) -> WorkerSpec {
    WorkerSpec {
        // The running program, even while an upgrade replaces its file: two versions must not mix.
        program: PathBuf::from("/proc/self/exe"),
        module: module.path.clone(),
        init_args: module.init_args.clone(),
        environment: module.environment.clone(),
        withheld,
        guard_key: state_dir.join(crate::guard_file::KEY),
        guard_key_may_be_made: false,
        concurrency: module.concurrency,
        look_again_after: LOOK_AGAIN_AFTER,
        output: match module.output {
            qseed_config::Output::Log => Output::Lines,
            qseed_config::Output::Count => Output::Count,
        },
    }
}

/// Runs a command's asynchronous part on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("cannot start", error))?;
    let result = runtime.block_on(future);
    // A host name that is still being resolved must not delay the end.
    runtime.shutdown_background();
    Ok(result)
}

/// What a module says about itself and its slots.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) library: LibraryInfo,
    pub(crate) slots: Vec<SlotReport>,
    /// Why there may be more slots.
    pub(crate) failure: Option<ModuleFailure>,
}

impl Listing {
    /// `SoftHSM Implementation of PKCS11, version 2.6, Cryptoki 2.40`
    pub(crate) fn library_name(&self) -> String {
        let library = &self.library;
        let name = format!("{} {}", library.manufacturer, library.description);
        format!(
            "{}, version {}, Cryptoki {}",
            printable(name.trim()),
            library.version,
            library.cryptoki_version
        )
    }
}

/// Lists a module's slots in a worker process of its own, which gets no PIN and no seed. The lines
/// are what the module wrote to standard output and error.
pub(crate) async fn list(
    mut spec: WorkerSpec,
    deadline: Duration,
) -> (Result<Listing, ModuleFailure>, Vec<String>) {
    spec.output = Output::Lines;
    let mut worker = match ModuleWorker::start(&spec, None, deadline) {
        Ok(worker) => worker,
        Err(failure) => return (Err(failure), Vec::new()),
    };
    let listing = worker.list().await;
    (listing, worker.end().await)
}

/// A worker process and what it wrote.
#[derive(Debug)]
pub(crate) struct ModuleWorker {
    worker: Worker,
    events: Receiver<(u32, WorkerEvent)>,
    deadline: Duration,
    output: Vec<String>,
    failed: bool,
}

impl ModuleWorker {
    /// Starts a worker. `deadline` is the longest that one call of the module may take.
    pub(crate) fn start(
        spec: &WorkerSpec,
        pins: Option<&KeptPins>,
        deadline: Duration,
    ) -> Result<Self, ModuleFailure> {
        let (sender, events) = channel(WAITING_EVENTS);
        let worker = Worker::spawn_with_pins(spec, pins, 0, sender)
            .map_err(|error| ModuleFailure::Start(error.to_string()))?;
        Ok(Self {
            worker,
            events,
            deadline,
            output: Vec::new(),
            failed: false,
        })
    }

    pub(crate) fn send(&self, message: ToWorker) {
        self.worker.send(message);
    }

    /// The worker's next answer. After a failure there are no more.
    pub(crate) async fn answer(&mut self) -> Result<FromWorker, ModuleFailure> {
        let answer = self.next().await;
        self.failed = answer.is_err();
        answer
    }

    async fn next(&mut self) -> Result<FromWorker, ModuleFailure> {
        loop {
            // The channel stays open until the worker has exited.
            let Ok(Some((_, event))) = timeout(self.deadline, self.events.recv()).await else {
                return Err(ModuleFailure::Hung(self.deadline));
            };
            match event {
                WorkerEvent::Message(FromWorker::Progress { .. } | FromWorker::Waits { .. }) => {}
                WorkerEvent::Message(FromWorker::InitFailed(failure)) => {
                    return Err(ModuleFailure::Call(failure));
                }
                WorkerEvent::Message(message) => return Ok(message),
                WorkerEvent::Output { line, .. } if self.output.len() < MAX_OUTPUT => {
                    self.output.push(line);
                }
                WorkerEvent::Output { .. } | WorkerEvent::OutputWithheld { .. } => {}
                WorkerEvent::Misbehaves(how) => return Err(ModuleFailure::Protocol(how)),
                WorkerEvent::Exited(status) => return Err(ModuleFailure::Ended(status)),
            }
        }
    }

    /// Waits until the module is loaded, and lists its slots: all, or those before a failure.
    async fn list(&mut self) -> Result<Listing, ModuleFailure> {
        let library = self.ready().await?;
        self.send(ToWorker::List { request: 0 });
        let mut slots = Vec::new();
        let failure = loop {
            match self.answer().await {
                Ok(FromWorker::Slot { slot, .. }) => slots.push(slot),
                Ok(FromWorker::Listed { failure, .. }) => break failure.map(ModuleFailure::Call),
                Ok(_) => {}
                Err(failure) => break Some(failure),
            }
        };
        Ok(Listing {
            library,
            slots,
            failure,
        })
    }

    /// Waits until the module is loaded.
    pub(crate) async fn ready(&mut self) -> Result<LibraryInfo, ModuleFailure> {
        loop {
            if let FromWorker::Ready(ready) = self.answer().await? {
                return Ok(ready.library);
            }
        }
    }

    /// Ends the worker, at once if it failed, and returns what the module wrote.
    pub(crate) async fn end(mut self) -> Vec<String> {
        let mut ended = false;
        if !self.failed {
            self.send(ToWorker::Shutdown);
            ended = loop {
                match self.next().await {
                    Ok(_) => {}
                    Err(failure) => break matches!(failure, ModuleFailure::Ended(_)),
                }
            };
        }
        self.worker.kill();
        self.deadline = GONE_AFTER;
        while !ended {
            ended = matches!(
                self.next().await,
                Err(ModuleFailure::Ended(_) | ModuleFailure::Hung(_))
            );
        }
        self.output
    }
}
