//! The system calls of a hostile library that have no safe form.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// Makes a system call whose arguments are numbers.
fn call(number: libc::c_long, arguments: [i64; 4]) -> io::Result<i64> {
    let [a, b, c, d] = arguments;
    // SAFETY: no argument is a pointer that the kernel writes to: the calls below take numbers, or
    // fail because of a null pointer after the permission was judged.
    let result = unsafe { libc::syscall(number, a, b, c, d, 0, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// Copies nothing from a process's memory, which needs the right to copy.
pub(crate) fn copy_memory(pid: i32) -> io::Result<()> {
    call(libc::SYS_process_vm_readv, [pid.into(), 0, 0, 0]).map(drop)
}

/// Traces a process.
pub(crate) fn trace(pid: i32) -> io::Result<()> {
    let request = i64::from(libc::PTRACE_SEIZE);
    call(libc::SYS_ptrace, [request, pid.into(), 0, 0]).map(drop)
}

/// Sets up nothing, which a kernel with `io_uring` answers with another error than one without.
pub(crate) fn io_uring() -> io::Result<()> {
    match call(libc::SYS_io_uring_setup, [1, 0, 0, 0]) {
        Err(error) if error.raw_os_error() != Some(libc::EFAULT) => Err(error),
        _ => Ok(()),
    }
}

/// Makes a socket.
pub(crate) fn socket(family: i32, kind: i32) -> io::Result<()> {
    let arguments = [family.into(), kind.into(), 0, 0];
    call(libc::SYS_socket, arguments).map(drop)
}

/// A copy of this process's descriptor of a number.
pub(crate) fn descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is borrowed for one call, which fails where there is no such descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned()
}
