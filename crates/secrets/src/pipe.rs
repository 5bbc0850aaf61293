//! Pipes that keep secrets: in the kernel, never in swap, and out of any process's memory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{Errno, ioctl_fionread};
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, tee,
};

/// The smallest pipe that Linux makes, in bytes.
const LEAST: usize = 4_096;

/// A pipe that takes this many bytes without a reader: the end to read from, and the other one.
///
/// # Errors
/// What the system says where it makes no pipe, or none that is large enough
/// (`/proc/sys/fs/pipe-max-size`, normally 1 MiB).
pub fn with_room(bytes: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (from, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    fcntl_setpipe_size(&into, bytes.max(LEAST))?;
    Ok((from, into))
}

/// Writes all of it, if there is room.
///
/// # Errors
/// What the system says; a part may have been written.
pub fn fill(into: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        bytes = &bytes[rustix::io::write(&into, bytes)?..];
    }
    Ok(())
}

/// The number of bytes in a pipe.
///
/// # Errors
/// What the system says.
pub fn length(pipe: impl AsFd) -> io::Result<usize> {
    Ok(usize::try_from(ioctl_fionread(pipe)?).unwrap_or(usize::MAX))
}

/// A pipe with the same content, which the kernel copies.
///
/// # Errors
/// What the system says where it makes no such pipe.
pub fn copy(pipe: impl AsFd) -> io::Result<OwnedFd> {
    let bytes = length(&pipe)?;
    let (copy, into) = with_room(fcntl_getpipe_size(&pipe)?)?;
    if bytes > 0 && tee(&pipe, &into, bytes, SpliceFlags::NONBLOCK)? != bytes {
        return Err(Errno::AGAIN.into());
    }
    Ok(copy)
}
