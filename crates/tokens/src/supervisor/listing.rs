//! One question to a module: which slots are there?

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Events, Worker, WorkerEvent, WorkerSpec};
use crate::directory::SlotReport;
use crate::failure::TokenFailure;
use crate::wire::{FrameError, FromWorker, Ready, ToWorker};

/// More events than one worker has under way at once.
const EVENTS: usize = 64;

/// The request's number; there is but one.
const REQUEST: u64 = 1;

/// A module and its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What the worker says of itself and its module.
    pub ready: Ready,
    /// The slots in the module's order.
    pub slots: Vec<SlotReport>,
    /// What the module wrote to standard output and error.
    pub output: Vec<String>,
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// No worker could be started.
    #[error("cannot start a worker: {0}")]
    Start(#[from] io::Error),
    /// The module cannot be loaded, initialised or asked.
    #[error("{0}")]
    Module(TokenFailure),
    /// One of its calls took longer than allowed.
    #[error("the module hangs: a call took longer than {0:?}")]
    Hung(Duration),
    /// The worker ended, as it does when the module crashes or calls `exit`.
    #[error("the module ended its process ({0})")]
    Ended(std::process::ExitStatus),
    /// The worker does not speak the protocol.
    #[error("the worker is of another version: {0}")]
    Protocol(FrameError),
}

/// Loads a module into a worker, lists its slots, and ends the worker. No PIN is presented and no
/// session opened. `deadline` is the longest that one call may take.
///
/// For one-shot commands: it blocks, and brings its own runtime.
///
/// # Errors
/// [`ListError`] where the module cannot be loaded or asked.
pub fn list_slots(spec: &WorkerSpec, deadline: Duration) -> Result<Listing, ListError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (events, mut incoming) = mpsc::channel(EVENTS);
        ask(spec, deadline, events, &mut incoming).await
    })
}

async fn ask(
    spec: &WorkerSpec,
    deadline: Duration,
    events: Events,
    incoming: &mut mpsc::Receiver<(u32, u64, WorkerEvent)>,
) -> Result<Listing, ListError> {
    let worker = Worker::spawn(spec, 0, events)?;
    let mut listing: Option<Listing> = None;
    let mut output = Vec::new();
    let mut complete = false;
    let mut failed = None;
    loop {
        let event = tokio::time::timeout(deadline, incoming.recv()).await;
        // The worker's own tasks hold the channel's other end until it exited.
        let Ok(Some((_, _, event))) = event else {
            // A module that hangs in C_Finalize has told all.
            let told = listing
                .filter(|_| complete)
                .ok_or(ListError::Hung(deadline))?;
            return Ok(Listing { output, ..told });
        };
        match event {
            WorkerEvent::Message(FromWorker::Ready(ready)) => {
                listing = Some(Listing {
                    ready,
                    slots: Vec::new(),
                    output: Vec::new(),
                });
                worker.send(ToWorker::List { request: REQUEST });
            }
            WorkerEvent::Message(FromWorker::InitFailed(failure)) => {
                failed = Some(failure);
            }
            WorkerEvent::Message(FromWorker::Slot { slot, .. }) => {
                if let Some(listing) = &mut listing {
                    listing.slots.push(slot);
                }
            }
            WorkerEvent::Message(FromWorker::Listed { failure, .. }) => {
                complete = failure.is_none();
                failed = failure;
                worker.send(ToWorker::Shutdown);
            }
            WorkerEvent::Output { line, .. } => output.push(line),
            WorkerEvent::ProtocolError(error) => return Err(ListError::Protocol(error)),
            WorkerEvent::Exited(status) => {
                if let Some(failure) = failed {
                    return Err(ListError::Module(failure));
                }
                let told = listing
                    .filter(|_| complete)
                    .ok_or(ListError::Ended(status))?;
                return Ok(Listing { output, ..told });
            }
            WorkerEvent::Message(_) | WorkerEvent::OutputWithheld { .. } => {}
        }
    }
}
