//! What a hostile library does: it takes the socket of the process that loaded it.

use std::os::fd::OwnedFd;

use rustix::process::{ForeignRawFd, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The file descriptors among which the socket is.
const LOOKED_AT: ForeignRawFd = 64;

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
    let itself = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    (3..LOOKED_AT)
        .filter_map(|number| pidfd_getfd(&itself, number, PidfdGetfdFlags::empty()).ok())
        .find(|fd| {
            rustix::net::sockopt::socket_domain(fd)
                .is_ok_and(|domain| domain == rustix::net::AddressFamily::UNIX)
        })
}
