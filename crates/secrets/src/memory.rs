//! What keeps the secrets of a process in its memory: no core dump, no reading by other processes,
//! no swap, no program that gets more privileges than this one.

use std::io;

use rustix::mm::MlockAllFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::CapabilitySet;

/// Why memory is not locked.
#[derive(Debug, thiserror::Error)]
pub enum NotLocked {
    /// Under a limit, an allocation would fail once the limit is reached: worse than swap.
    #[error("neither CAP_IPC_LOCK nor an unlimited RLIMIT_MEMLOCK")]
    Limited,
    /// The system refuses.
    #[error("{0}")]
    Refused(io::Error),
}

/// Keeps this process's memory out of core dumps and from the eyes of other processes of the same
/// user.
///
/// # Errors
/// What the system says.
pub fn forbid_dumps() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, none)?;
    Ok(())
}

/// Forbids this process, and what it starts, to get more privileges than it has: a program with the
/// set-user-ID bit runs without them.
///
/// # Errors
/// What the system says.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Locks all memory of this process, present and future, page by page as it is touched.
///
/// # Errors
/// [`NotLocked`]; the process works all the same, but its memory may reach swap.
pub fn lock() -> Result<(), NotLocked> {
    let unlimited = rustix::process::getrlimit(Resource::Memlock)
        .current
        .is_none();
    let privileged = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if !unlimited && !privileged {
        return Err(NotLocked::Limited);
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    rustix::mm::mlockall(flags).map_err(|error| NotLocked::Refused(error.into()))
}
