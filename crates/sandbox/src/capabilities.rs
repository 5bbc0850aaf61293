//! Root's privileges that qseed gives up.

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::NotGranted;

/// What no vendor's library needs, as container runtimes have it: privileges over other processes,
/// the kernel and the host.
const NEVER_NEEDED: CapabilitySet = CapabilitySet::AUDIT_CONTROL
    .union(CapabilitySet::AUDIT_READ)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::BLOCK_SUSPEND)
    .union(CapabilitySet::CHECKPOINT_RESTORE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::LINUX_IMMUTABLE)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_MODULE)
    .union(CapabilitySet::SYS_PACCT)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::WAKE_ALARM);

/// Gives them up where this process has them. Programs that it runs do not get them back, since it
/// gains no privileges from a program.
pub(crate) fn give_up() -> Result<(), NotGranted> {
    let refused = |why: rustix::io::Errno| NotGranted::Capabilities(why.to_string());
    let mut sets = capabilities(None).map_err(refused)?;
    for set in [
        &mut sets.effective,
        &mut sets.permitted,
        &mut sets.inheritable,
    ] {
        set.remove(NEVER_NEEDED);
    }
    set_capabilities(None, sets).map_err(refused)
}
