//! The worker process: loads one module, holds its partitions open, and makes its calls.
//!
//! One thread reads what the daemon says; a pool of others makes the calls, one operation a
//! partition at a time. A seed for the only partition is injected by the thread that read it: handed
//! over, it would cost half as much again, and nobody waits behind it. The module's own output goes where standard output and error go, to pipes
//! that the daemon reads; the worker itself writes nothing there.

mod elf;
mod finder;
mod guard;
mod inbox;
mod link;
mod login;
mod logins;
mod module;
mod partition;
mod pool;
mod process;
mod pulse;
mod seeding;

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use qseed_secrets::Secret;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use finder::Finder;
use guard::Guard;
use inbox::{Command, Inbox};
use link::Link;
use logins::Logins;
use module::Module;
use pool::Pool;
use pulse::Pulse;

use crate::wire::{self, Decoder, FromWorker, Hello, Ready, ToWorker};

/// Exit codes (sysexits): started by hand, the module does not load, the protocol is broken.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const INTERNAL: u8 = 70;

/// The main of `qseed worker`, which the daemon starts with one end of a socket pair as standard
/// input. Returns when the daemon said `Shutdown`; ends the process where the daemon is gone.
#[must_use]
pub fn run() -> ExitCode {
    let socket = process::harden().and_then(|()| process::take_socket());
    let Ok(Some(socket)) = socket else {
        eprintln!("qseed: the worker is started by qseed itself, never by hand");
        return ExitCode::from(USAGE);
    };
    let Ok(writer) = socket.try_clone() else {
        return ExitCode::from(INTERNAL);
    };
    let link = Link::new(writer);
    let mut requests = Requests::new(socket);
    let pins = requests.begin();
    match requests.next() {
        Some(ToWorker::Hello(hello)) if hello.version == wire::VERSION => {
            if !process::is_child_of(hello.daemon) {
                process::end();
            }
            serve(hello, pins, link, &mut requests)
        }
        _ => ExitCode::from(INTERNAL),
    }
}

/// Loads the module and does what the daemon says until it says `Shutdown`.
fn serve(hello: Hello, pins: Option<OwnedFd>, link: Link, requests: &mut Requests) -> ExitCode {
    let memory_locked = qseed_secrets::memory::lock().is_ok();
    let module = match Module::load(&hello.module, hello.init_args) {
        Ok(module) => module,
        Err(failure) => {
            link.send(&FromWorker::InitFailed(failure));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    link.send(&FromWorker::Ready(Ready {
        version: wire::VERSION,
        library: module.library().clone(),
        memory_locked,
    }));
    let worker = Arc::new(Worker {
        module,
        link,
        finder: Finder::default(),
        guard: Guard::new(hello.guard_key, hello.guard_key_may_be_made),
        logins: Mutex::default(),
        pins: Mutex::default(),
        asks: AtomicU64::new(1),
        pool: Pool::new(hello.concurrency),
        inboxes: Mutex::default(),
        look_again_after: hello.look_again_after,
    });
    if let Some(pins) = pins {
        worker.learn_pins(File::from(pins));
    }
    loop {
        match requests.next() {
            Some(ToWorker::Pin { partition, pin }) => worker.learn_pin(partition, pin),
            Some(ToWorker::Open(how)) => worker.post(how.partition, Command::Open(how)),
            Some(ToWorker::Verdict {
                partition,
                ask,
                verdict,
            }) => {
                worker.post(partition, Command::Verdict { ask, verdict });
            }
            Some(ToWorker::Seed {
                partition,
                job,
                seed,
            }) => {
                worker.post(partition, Command::Seed { job, seed });
            }
            Some(ToWorker::Close { partition }) => worker.post(partition, Command::Close),
            Some(ToWorker::List { request }) => worker.list(request),
            Some(ToWorker::Shutdown) => break,
            Some(ToWorker::Hello(_)) | None => return ExitCode::from(INTERNAL),
        }
    }
    worker.shut_down();
    ExitCode::SUCCESS
}

/// What all threads of the process share.
struct Worker {
    module: Module,
    link: Link,
    finder: Finder,
    guard: Guard,
    logins: Mutex<Logins>,
    /// The PINs that the daemon told.
    pins: Mutex<HashMap<u32, Secret>>,
    asks: AtomicU64,
    pool: Pool,
    inboxes: Mutex<HashMap<u32, Arc<Inbox>>>,
    look_again_after: Duration,
}

impl Worker {
    fn post(self: &Arc<Self>, partition: u32, command: Command) {
        let (inbox, alone) = {
            let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
            let inbox = inboxes
                .entry(partition)
                .or_insert_with(|| Arc::new(Inbox::new(partition)));
            (Arc::clone(inbox), inboxes.len() == 1)
        };
        let here = alone && matches!(command, Command::Seed { .. });
        inbox.post(self, command, here);
    }

    fn learn_pin(&self, partition: u32, pin: Secret) {
        self.pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(partition, pin);
    }

    /// Reads the PINs that were put away for this module's workers.
    fn learn_pins(&self, mut pipe: File) {
        let mut decoder = Decoder::new(wire::MAX_FRAME_BYTES);
        loop {
            match decoder.next_message() {
                Ok(Some(ToWorker::Pin { partition, pin })) => self.learn_pin(partition, pin),
                Ok(None) => match pipe.read(decoder.space()) {
                    Ok(read) if read > 0 => decoder.filled(read),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(_) | Err(_) => return,
                },
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }

    fn told_pin(&self, partition: u32) -> Option<Secret> {
        self.pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&partition)
            .cloned()
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every slot, as it is read, on a thread of the pool.
    fn list(self: &Arc<Self>, request: u64) {
        let worker = Arc::clone(self);
        self.pool.run(move || {
            let pulse = Pulse::new(&worker.link, None);
            let mut failure = None;
            for slot in finder::list(&worker.module, || pulse.beat()) {
                match slot {
                    Ok(slot) => worker.link.send(&FromWorker::Slot { request, slot }),
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            worker.link.send(&FromWorker::Listed { request, failure });
        });
    }

    /// Logs out, closes every session and finalises the module, in as much time as its calls
    /// take: the daemon ends a worker that takes too long.
    fn shut_down(self: &Arc<Self>) {
        let inboxes: Vec<_> = {
            let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
            inboxes.drain().map(|(_, inbox)| inbox).collect()
        };
        for inbox in &inboxes {
            inbox.close_last(self);
        }
        self.pool.close();
        self.module.finalize();
    }
}

/// Reads what the daemon says.
struct Requests {
    socket: UnixStream,
    decoder: Decoder,
}

impl Requests {
    fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            decoder: Decoder::new(wire::MAX_FRAME_BYTES),
        }
    }

    /// Reads the first bytes, and the pipe with PINs that may come beside them.
    fn begin(&mut self) -> Option<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let read = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(self.decoder.space())],
            &mut beside,
            RecvFlags::CMSG_CLOEXEC,
        );
        match read {
            Ok(read) if read.bytes > 0 => self.decoder.filled(read.bytes),
            Ok(_) | Err(_) => process::end(),
        }
        beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
    }

    /// The next message, `None` where it is none of this protocol. Without a daemon this process
    /// ends.
    fn next(&mut self) -> Option<ToWorker> {
        loop {
            if let Some(message) = self.decoder.next_message().ok()? {
                return Some(message);
            }
            match self.socket.read(self.decoder.space()) {
                Ok(0) => process::end(),
                Ok(read) => self.decoder.filled(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => process::end(),
            }
        }
    }
}
