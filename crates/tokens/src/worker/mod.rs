//! The worker process: loads one module, holds its partitions open, and makes its calls.
//!
//! One thread reads the daemon's messages; a pool of others makes the calls, one operation a
//! partition at a time. If there is only one partition, the thread that reads a seed also injects
//! it: handing it over would cost half as much again, and nothing else waits. What the module
//! writes to standard output and error goes to pipes that the daemon reads; the worker itself
//! writes nothing there.

mod elf;
mod guard_key;
mod inbox;
mod link;
mod login;
mod logins;
mod module;
mod operation;
mod partition;
mod pool;
mod process;
mod seeding;
mod session;
mod slots;

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qseed_sandbox::{Confined, NotGranted};
use qseed_secrets::Secret;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use guard_key::GuardKey;
use inbox::Inbox;
use link::Link;
use logins::Logins;
use module::Module;
use operation::{Command, Operation};
use pool::Pool;
use slots::Slots;

use crate::failure::{FailureClass, TokenFailure};
use crate::kept_pins::KeptPins;
use crate::wire::{self, Decoder, FromWorker, Hello, ToWorker};

/// Exit codes (sysexits): started by hand, the module does not load.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;

/// How long a worker runs before a failure that may have other reasons has it restarted for new
/// files beside ours.
const RESTART_EVERY: Duration = Duration::from_secs(60);

/// The main function of `qseed worker`, which the daemon starts with one end of a socket pair as
/// standard input. Returns after `Shutdown`; ends the process if the daemon is gone.
#[must_use]
pub fn run() -> ExitCode {
    let socket = process::harden().and_then(|()| process::take_socket());
    let Ok(Some(socket)) = socket else {
        eprintln!("qseed: the worker is started by qseed itself, never by hand");
        return ExitCode::from(USAGE);
    };
    let writer = socket.try_clone().unwrap_or_else(|_| process::end());
    let link = Link(Mutex::new(writer));
    let mut messages = Messages::new(socket);
    let pins = messages.begin();
    match messages.next() {
        Some(ToWorker::Hello(hello))
            if hello.version == wire::VERSION && process::is_child_of(hello.daemon) =>
        {
            serve(hello, pins, link, messages)
        }
        _ => process::end(),
    }
}

/// Loads the module and carries out messages until `Shutdown`.
fn serve(hello: Hello, pins: Option<OwnedFd>, link: Link, mut messages: Messages) -> ExitCode {
    // The daemon has the same limits and capabilities, and logs it where this fails.
    let _ = qseed_secrets::memory::lock();
    let mut closed = Vec::new();
    for _ in 0..hello.closing {
        match messages.next() {
            Some(ToWorker::Closes(more)) => closed.extend(more),
            _ => process::end(),
        }
    }
    let guard_key = GuardKey::new(hello.guard_key);
    if hello.guard_key_may_be_made {
        // What is wrong is reported when a login needs the key.
        let _ = guard_key.prepare();
    }
    let confined = match qseed_sandbox::confine(&closed, guard_key.path(), hello.network) {
        Ok(confined) => confined,
        Err(why) => {
            let text = format!("the network cannot be closed to it: {why}");
            let failure = TokenFailure::new(FailureClass::Device, text);
            link.send(&FromWorker::InitFailed(failure));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    let missing = confined.missing.iter().map(NotGranted::to_string);
    let missing = missing.collect();
    let module = match Module::load(&hello.module, hello.init_args) {
        Ok(module) => module,
        Err(failure) => {
            link.send(&FromWorker::InitFailed(failure));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    let library = module.library().clone();
    link.send(&FromWorker::Ready { library, missing });
    let worker = Arc::new(Worker {
        module,
        link,
        slots: Slots::default(),
        guard_key,
        confined,
        started: Instant::now(),
        logins: Mutex::default(),
        pins: Mutex::new(pins.map(KeptPins::received)),
        asks: AtomicU64::new(1),
        pool: Pool::new(hello.concurrency),
        inboxes: Mutex::default(),
        recheck_after: hello.recheck_after,
    });
    loop {
        match messages.next() {
            Some(ToWorker::Pin { partition, pin }) => worker.replace_pin(partition, pin),
            Some(ToWorker::Open(how)) => worker.post(how.partition, Command::Open(how)),
            Some(ToWorker::Verdict {
                partition,
                ask,
                held_back,
            }) => worker.post(partition, Command::Verdict { ask, held_back }),
            Some(ToWorker::Seed {
                partition,
                job,
                seed,
            }) => worker.post(partition, Command::Seed { job, seed }),
            Some(ToWorker::Close { partition }) => worker.post(partition, Command::Close),
            Some(ToWorker::List { request }) => worker.list(request),
            Some(ToWorker::Shutdown) => break,
            Some(ToWorker::Hello(_) | ToWorker::Closes(_)) | None => process::end(),
        }
    }
    worker.shut_down();
    ExitCode::SUCCESS
}

/// Locks a mutex. A thread that panicked has reported it, and left nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all threads of the process share.
struct Worker {
    module: Module,
    link: Link,
    slots: Slots,
    guard_key: GuardKey,
    confined: Confined,
    started: Instant,
    logins: Mutex<Logins>,
    /// The PINs that came from the daemon.
    pins: Mutex<Option<KeptPins>>,
    asks: AtomicU64,
    pool: Arc<Pool>,
    inboxes: Mutex<HashMap<u32, Arc<Inbox>>>,
    recheck_after: Duration,
}

impl Worker {
    fn post(self: &Arc<Self>, partition: u32, command: Command) {
        let (inbox, alone) = {
            let mut inboxes = locked(&self.inboxes);
            let inbox = inboxes
                .entry(partition)
                .or_insert_with(|| Arc::new(Inbox::new(partition)));
            (Arc::clone(inbox), inboxes.len() == 1)
        };
        let here = alone && matches!(command, Command::Seed { .. });
        inbox.post(self, command, here);
    }

    /// A PIN that came from the daemon, for one login.
    fn sent_pin(&self, partition: u32) -> io::Result<Option<Secret>> {
        let pins = locked(&self.pins);
        let pin = pins.as_ref().map(|kept| kept.pin_of(partition));
        Ok(pin.transpose()?.flatten())
    }

    fn replace_pin(&self, partition: u32, pin: Secret) {
        let mut pins = locked(&self.pins);
        let replaced = match &mut *pins {
            Some(kept) => kept.replace(partition, pin),
            none => KeptPins::keep([&(partition, pin)]).map(|kept| *none = Some(kept)),
        };
        // The next worker gets it from the daemon. This one would go on with the old PIN.
        if replaced.is_err() {
            process::end();
        }
    }

    /// What a failure asks for. Where it may be that the module cannot open what came after it
    /// started, only a new process can. HSMs fail for other reasons, too, and unrelated files may
    /// come again and again: so not too often.
    fn judge(&self, mut failure: TokenFailure) -> TokenFailure {
        let may_be_of_files = matches!(
            failure.class,
            FailureClass::Device | FailureClass::General | FailureClass::SessionLost
        );
        if may_be_of_files && self.started.elapsed() >= RESTART_EVERY && self.confined.is_outdated()
        {
            failure.class = FailureClass::ReloadModule;
        }
        failure
    }

    /// A failure to read a file of qseed's. One that replaced another since this process started is
    /// closed to it.
    fn unreadable(&self, mut failure: TokenFailure, file: &Path) -> TokenFailure {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(file, flags, Mode::empty());
        if opened.is_err_and(|error| error == Errno::ACCESS) && self.confined.is_outdated() {
            failure.class = FailureClass::ReloadModule;
        }
        failure
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        locked(&self.logins)
    }

    /// Reports every slot as it is read, on a thread of the pool.
    fn list(self: &Arc<Self>, request: u64) {
        let worker = Arc::clone(self);
        self.pool.run(move || {
            let op = Operation::new(&worker, None);
            let mut failure = None;
            for slot in slots::list(op.module(), || op.call_begins()) {
                match slot {
                    Ok(slot) => op.send(&FromWorker::Slot { request, slot }),
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            op.send(&FromWorker::Listed { request, failure });
        });
    }

    /// Logs out, closes every session and finalises the module, in as much time as its calls
    /// take: the daemon ends a worker that takes too long.
    fn shut_down(self: &Arc<Self>) {
        let inboxes = std::mem::take(&mut *locked(&self.inboxes));
        for inbox in inboxes.values() {
            inbox.close_last(self);
        }
        self.pool.close();
        self.module.finalize();
    }
}

/// Reads the daemon's messages.
struct Messages {
    from: UnixStream,
    decoder: Decoder,
}

impl Messages {
    fn new(from: UnixStream) -> Self {
        Self {
            from,
            decoder: Decoder::new(wire::MAX_FRAME_BYTES),
        }
    }

    /// The next message; `None` at the end, or where what comes is no message.
    fn next(&mut self) -> Option<ToWorker> {
        loop {
            if let Some(message) = self.decoder.next_message().ok()? {
                return Some(message);
            }
            match self.from.read(self.decoder.space()) {
                Ok(read) if read > 0 => self.decoder.filled(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Reads the first bytes, and the pipe with PINs that may come beside them.
    fn begin(&mut self) -> Option<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [IoSliceMut::new(self.decoder.space())];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let read = recvmsg(&self.from, &mut buffer, &mut beside, flags).ok()?;
        self.decoder.filled(read.bytes);
        beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
    }
}
