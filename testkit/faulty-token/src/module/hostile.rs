//! What a hostile library does: it takes the socket of the process that loaded it, and tries what
//! it should not be able to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, getppid, kill_process, pidfd_getfd, pidfd_open,
};

use crate::{Attempt, intrude};

/// The file descriptors among which the socket is.
const LOOKED_AT: RawFd = 64;
/// How long a connection may take.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// Writes `bytes` to the process's Unix socket, over and over.
pub(super) fn send(bytes: &[u8], times: u32) {
    let socket = socket().expect("a process with a Unix socket");
    let all = bytes.repeat(times as usize);
    let mut rest = all.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(&socket, rest) {
            Ok(written) => rest = &rest[written..],
            // The daemon closed the connection.
            Err(_) => return,
        }
    }
}

fn socket() -> Option<OwnedFd> {
    (3..LOOKED_AT)
        .filter_map(|number| intrude::descriptor(number).ok())
        .find(|fd| {
            rustix::net::sockopt::socket_domain(fd)
                .is_ok_and(|domain| domain == rustix::net::AddressFamily::UNIX)
        })
}

/// Tries something.
pub(super) fn attempt(what: &Attempt) -> io::Result<()> {
    let parent = getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
    match what {
        Attempt::Read(path) => File::open(path)?.read(&mut [0]).map(drop),
        Attempt::Append(path) => OpenOptions::new().append(true).open(path)?.write_all(b"x"),
        Attempt::Truncate(path) => {
            let mut how = OpenOptions::new();
            how.write(true).truncate(true).open(path).map(drop)
        }
        Attempt::Create(path) => File::create_new(path).map(drop),
        Attempt::Remove(path) => fs::remove_file(path),
        Attempt::Rename(from, to) => fs::rename(from, to),
        Attempt::OpenMemory => File::open(format!("/proc/{parent}/mem")).map(drop),
        Attempt::ReadEnvironment => fs::read(format!("/proc/{parent}/environ")).map(drop),
        Attempt::CopyMemory => intrude::copy_memory(parent),
        Attempt::Trace => intrude::trace(parent),
        Attempt::TakeDescriptor(number) => {
            let process = pidfd_open(pid(parent)?, PidfdFlags::empty())?;
            pidfd_getfd(&process, *number, PidfdGetfdFlags::empty())?;
            Ok(())
        }
        Attempt::KillParent => Ok(kill_process(pid(parent)?, Signal::KILL)?),
        Attempt::Kill(of) => Ok(kill_process(pid(*of)?, Signal::KILL)?),
        Attempt::Socket(family, kind) => intrude::socket(*family, *kind),
        Attempt::Connect(address) => {
            TcpStream::connect_timeout(address, CONNECTED_WITHIN).map(drop)
        }
        Attempt::ConnectLocal(path) => UnixStream::connect(path).map(drop),
        Attempt::IoUring => intrude::io_uring(),
        Attempt::Fork(count) => (0..*count).try_for_each(|_| busy()),
        Attempt::Grow(bytes) => {
            let bytes = usize::try_from(*bytes).map_err(io::Error::other)?;
            std::mem::forget(vec![1_u8; bytes]);
            Ok(())
        }
    }
}

fn pid(raw: i32) -> io::Result<Pid> {
    Pid::from_raw(raw).ok_or(io::Error::from(io::ErrorKind::InvalidInput))
}

/// A process that keeps a processor busy.
fn busy() -> io::Result<()> {
    let mut shell = Command::new("/bin/sh");
    let streams = shell.stdin(Stdio::null()).stdout(Stdio::null());
    let child = streams.args(["-c", "while :; do :; done"]).spawn()?;
    std::mem::forget(child);
    Ok(())
}
