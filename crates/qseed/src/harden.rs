//! What keeps secrets of a process in its memory: no core, no tracing by others, no swap.

use rustix::mm::MlockAllFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::CapabilitySet;

/// What was got of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hardening {
    /// Whether no core is dumped and no other process may read the memory.
    pub(crate) not_dumpable: bool,
    /// Whether memory never reaches swap; else why not.
    pub(crate) memory_locked: Result<(), String>,
}

/// Hardens this process, as far as the system allows.
pub(crate) fn harden() -> Hardening {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let no_core = rustix::process::setrlimit(Resource::Core, no_core).is_ok();
    let not_dumpable =
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    Hardening { not_dumpable: no_core && not_dumpable, memory_locked: lock_memory() }
}

/// Locks what is and will be mapped, page by page as it is touched.
///
/// Under a limit that counts, a later allocation would fail once the limit is reached, so memory
/// is locked only where there is none.
fn lock_memory() -> Result<(), String> {
    let unlimited = rustix::process::getrlimit(Resource::Memlock).current.is_none();
    let privileged = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if !unlimited && !privileged {
        return Err("neither CAP_IPC_LOCK nor an unlimited RLIMIT_MEMLOCK".to_owned());
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    rustix::mm::mlockall(flags).map_err(|error| error.to_string())
}
