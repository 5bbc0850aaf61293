//! A worker process for one command: it answers a few questions about a module, one after the
//! other. The daemon's workers belong to its loop and the engine.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qseed_config::{Config, Module};
use qseed_tokens::ckr::{Ckr, Function};
use qseed_tokens::directory::{LibraryInfo, SlotReport};
use qseed_tokens::failure::TokenFailure;
use qseed_tokens::supervisor::{KeptPins, Output, RECHECK_AFTER, Worker, WorkerEvent, WorkerSpec};
use qseed_tokens::wire::{FromWorker, ToWorker};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use crate::closed::closed_to;
use crate::exit::{Code, Failure};
use crate::log::{format_duration, printable};

/// More events than one worker has under way at once.
const WAITING_EVENTS: usize = 64;
/// Lines of a module's output that are kept.
const MAX_OUTPUT: usize = 100;
/// How long a killed process may take to end, before it counts as stuck in the kernel.
const GONE_AFTER: Duration = Duration::from_secs(3);

/// Why a module answers no more questions.
#[derive(Clone, Debug)]
pub(crate) struct ModuleFailure {
    pub(crate) text: String,
    /// What the operator can do.
    pub(crate) advice: String,
    pub(crate) code: Code,
}

impl ModuleFailure {
    fn new(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            advice: advice.into(),
            code: Code::Unavailable,
        }
    }

    /// The module crashed its worker, called `exit`, or took the worker over.
    fn crashed(text: String) -> Self {
        let advice = "try the module with another program (pkcs11-tool --module); if it fails there \
                      too, ask its vendor";
        Self::new(text, advice)
    }

    /// The module cannot be loaded or initialised, or cannot list its slots.
    fn call(failure: &TokenFailure, module: &Path) -> Self {
        let is_closed =
            || File::open(module).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
        let ldd = format!(
            "check the path, and that it is the vendor's library for this machine; `ldd {}` shows \
             whether a library that it needs is missing",
            module.display()
        );
        let (code, advice) = match (failure.function, failure.ckr) {
            (None, _) if failure.text.contains("Permission denied") || is_closed() => (
                Code::Permission,
                "let this user read the module and the libraries that it needs",
            ),
            (None, _) => (Code::Unavailable, ldd.as_str()),
            (Some(Function::Initialize), Some(Ckr::ARGUMENTS_BAD)) => (
                Code::Unavailable,
                "set `init_args` in the configuration, --init-args for `qseed slots`, as the \
                 module's documentation says",
            ),
            _ => (
                Code::Unavailable,
                "the vendor's documentation says which files and environment variables the module \
                 needs (`modules:`, `environment:` in the configuration)",
            ),
        };
        Self {
            code,
            ..Self::new(failure.to_string(), advice)
        }
    }
}

/// How a worker of `module` is started, with nothing of qseed's that is closed to it.
pub(crate) fn worker_spec(module: &Module) -> WorkerSpec {
    WorkerSpec {
        // The running program, even while an upgrade replaces its file: two versions must not mix.
        program: PathBuf::from("/proc/self/exe"),
        module: module.path.clone(),
        init_args: module.init_args.clone(),
        environment: module.environment.clone(),
        withheld: Vec::new(),
        guard_key: PathBuf::new(),
        guard_key_may_be_made: false,
        network: module.network,
        closed: Vec::new(),
        concurrency: module.concurrency,
        recheck_after: RECHECK_AFTER,
        output: module.output,
    }
}

/// How a worker of one of the modules of the configuration in `file` is started.
pub(crate) fn configured_spec(
    module: &Module,
    config: &Config,
    file: &Path,
    withheld: Vec<String>,
) -> WorkerSpec {
    WorkerSpec {
        withheld,
        guard_key: config.state_dir.join(crate::guard_file::KEY),
        closed: closed_to(module, config, file),
        ..worker_spec(module)
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
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Nothing where the module was not loaded.
    pub(crate) library: LibraryInfo,
    pub(crate) is_loaded: bool,
    /// All slots, or those that were listed before the failure.
    pub(crate) slots: Vec<SlotReport>,
    pub(crate) failure: Option<ModuleFailure>,
    /// The lines that the module wrote to standard output and error.
    pub(crate) output: Vec<String>,
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

/// Lists a module's slots in a worker process of its own, which gets no PIN and no seed.
pub(crate) async fn list(mut spec: WorkerSpec, deadline: Duration) -> Listing {
    spec.output = Output::Log;
    let mut listing = Listing::default();
    match ModuleWorker::start(&spec, None, deadline) {
        Ok(mut worker) => {
            listing.failure = worker.list(&mut listing).await.err();
            listing.output = worker.end().await;
        }
        Err(failure) => listing.failure = Some(failure),
    }
    listing
}

/// A worker process and what it wrote.
#[derive(Debug)]
pub(crate) struct ModuleWorker {
    module: PathBuf,
    worker: Worker,
    events: Receiver<(u32, WorkerEvent)>,
    deadline: Duration,
    output: Vec<String>,
    failed: bool,
    exited: bool,
}

impl ModuleWorker {
    /// Starts a worker. `deadline` is the longest that one call of the module may take.
    pub(crate) fn start(
        spec: &WorkerSpec,
        pins: Option<&KeptPins>,
        deadline: Duration,
    ) -> Result<Self, ModuleFailure> {
        let (sender, events) = channel(WAITING_EVENTS);
        let worker = Worker::spawn(spec, pins, 0, sender).map_err(|error| {
            let text = format!("cannot start a worker process: {error}");
            ModuleFailure::new(text, "see the limits on processes and memory of this user")
        })?;
        Ok(Self {
            module: spec.module.clone(),
            worker,
            events,
            deadline,
            output: Vec::new(),
            failed: false,
            exited: false,
        })
    }

    pub(crate) fn send(&self, message: ToWorker) {
        self.worker.send(message);
    }

    /// The next event; none if the worker exited before, or if the deadline passed.
    async fn event(&mut self) -> Option<WorkerEvent> {
        let (_, event) = timeout(self.deadline, self.events.recv()).await.ok()??;
        match &event {
            WorkerEvent::Exited(_) => self.exited = true,
            WorkerEvent::Output { line, .. } if self.output.len() < MAX_OUTPUT => {
                self.output.push(line.clone());
            }
            _ => {}
        }
        Some(event)
    }

    /// The worker's next answer.
    ///
    /// # Errors
    /// There are no more answers.
    pub(crate) async fn answer(&mut self) -> Result<FromWorker, ModuleFailure> {
        let failure = loop {
            match self.event().await {
                Some(WorkerEvent::Message(message)) => match message {
                    FromWorker::Progress { .. } | FromWorker::Waits { .. } => {}
                    FromWorker::InitFailed(failure) => {
                        break ModuleFailure::call(&failure, &self.module);
                    }
                    answer => return Ok(answer),
                },
                Some(WorkerEvent::Output { .. } | WorkerEvent::OutputWithheld { .. }) => {}
                Some(WorkerEvent::Misbehaves(how)) => {
                    break ModuleFailure::crashed(how.to_string());
                }
                Some(WorkerEvent::Exited(status)) => {
                    let text = format!("the module ended its process ({status})");
                    break ModuleFailure::crashed(text);
                }
                None => {
                    let deadline = format_duration(self.deadline);
                    let text = format!("the module hangs: a call took longer than {deadline}");
                    let advice = "check the HSM, its driver and its network; `deadline` of the \
                                  module is the longest that one call may take";
                    break ModuleFailure::new(text, advice);
                }
            }
        };
        self.failed = true;
        Err(failure)
    }

    async fn list(&mut self, listing: &mut Listing) -> Result<(), ModuleFailure> {
        self.send(ToWorker::List { request: 0 });
        loop {
            match self.answer().await? {
                FromWorker::Ready { library, .. } => {
                    listing.library = library;
                    listing.is_loaded = true;
                }
                FromWorker::Slot { slot, .. } => listing.slots.push(slot),
                FromWorker::Listed { failure, .. } => {
                    let failed = |failure| Err(ModuleFailure::call(&failure, &self.module));
                    return failure.map_or(Ok(()), failed);
                }
                _ => {}
            }
        }
    }

    /// Ends the worker, at once if it failed, and returns what the module wrote.
    pub(crate) async fn end(mut self) -> Vec<String> {
        if !self.failed {
            self.send(ToWorker::Shutdown);
            self.wait_for_exit().await;
        }
        if !self.exited {
            self.worker.kill();
            self.deadline = GONE_AFTER;
            self.wait_for_exit().await;
        }
        self.output
    }

    async fn wait_for_exit(&mut self) {
        while !self.exited && self.event().await.is_some() {}
    }
}
