//! What makes a worker's process safe to hold PINs and seeds.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::mm::MlockAllFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::CapabilitySet;

/// Standard output and error are behind this; what a vendor's library opens comes later.
const FIRST_FREE_FD: i32 = 3;

/// Binds this process's life to the daemon's, and keeps its memory out of core dumps and from
/// other processes' eyes. Comes before anything else.
pub(super) fn harden() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    Ok(())
}

/// Whether the parent is still the daemon: it may have died before [`harden`] was called.
pub(super) fn is_child_of(daemon: u32) -> bool {
    rustix::process::getppid().and_then(|parent| u32::try_from(parent.as_raw_nonzero().get()).ok())
        == Some(daemon)
}

/// Locks all memory, now and later, page by page as it is used. `false` where the system does
/// not allow that much: a lock that is bound to run out would break the module's allocations.
pub(super) fn lock_memory() -> bool {
    let unlimited = rustix::process::getrlimit(Resource::Memlock)
        .current
        .is_none();
    let privileged = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    (unlimited || privileged) && rustix::mm::mlockall(all).is_ok()
}

/// Takes the socket off standard input, so that nothing the module does to standard input, and no
/// process that it starts, reaches the daemon. `None` where standard input is no Unix socket.
pub(super) fn take_socket() -> io::Result<Option<UnixStream>> {
    let stdin = rustix::stdio::stdin();
    let is_unix_socket = rustix::net::sockopt::socket_domain(stdin)
        .is_ok_and(|domain| domain == rustix::net::AddressFamily::UNIX);
    if !is_unix_socket {
        return Ok(None);
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin, FIRST_FREE_FD)?;
    let null = OwnedFd::from(std::fs::File::open("/dev/null")?);
    rustix::stdio::dup2_stdin(&null)?;
    Ok(Some(UnixStream::from(socket)))
}

/// Ends this process at once. Nothing of the module's may run any more: `exit` would call its
/// destructors, which may hang.
pub(super) fn end() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    std::process::abort()
}
