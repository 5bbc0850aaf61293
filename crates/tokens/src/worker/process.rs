//! What makes a worker's process safe to hold PINs and seeds.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The first file descriptor after standard input, output and error.
const FIRST_FREE_FD: i32 = 3;

/// Has the kernel end this process with the daemon, and keeps its memory out of core dumps and from
/// other processes. Runs before anything else.
pub(super) fn harden() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    ignore_signals()?;
    qseed_secrets::memory::forbid_new_privileges()?;
    qseed_secrets::memory::forbid_dumps()
}

/// Ignores the signals that end a service: a service manager sends them to every process, and a
/// worker that obeyed would neither log out nor finalise its module. The daemon gets them too and
/// sends `Shutdown`.
fn ignore_signals() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

/// Whether the parent is still the daemon: it may have died before [`harden`] was called.
pub(super) fn is_child_of(daemon: u32) -> bool {
    rustix::process::getppid().and_then(|parent| u32::try_from(parent.as_raw_nonzero().get()).ok())
        == Some(daemon)
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

/// Ends this process at once. None of the module's code may run any more: `exit` would call its
/// destructors, which may hang.
pub(super) fn end() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    std::process::abort()
}
