//! System calls that qseed gives up, with seccomp filters that children inherit.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::NotGranted;

/// What neither the daemon nor a vendor's library needs. Container runtimes deny nearly the same by
/// default, so vendors' libraries work without them.
const NEVER_NEEDED: &[libc::c_long] = &[
    // Other processes' memory and files.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    // Mounts, namespaces, and files without a path.
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // The kernel and the host.
    libc::SYS_acct,
    libc::SYS_bpf,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    // The keys of other programs.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
];

/// `io_uring` makes system calls that no filter sees. Programs that find it missing do without.
const IO_URING: &[libc::c_long] = &[
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
];

/// The x32 ABI's bit in a call's number: such calls run on the same architecture.
#[cfg(target_arch = "x86_64")]
const X32: libc::c_long = 0x4000_0000;
/// x32 calls whose numbers differ: `ptrace`, `kexec_load`, `process_vm_readv` and `_writev`.
#[cfg(target_arch = "x86_64")]
const X32_ONLY: &[libc::c_long] = &[521, 528, 539, 540];

type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;

/// Denies this process, and all that it starts, the calls that nothing here needs, and to gain
/// privileges from a program that it runs.
pub(crate) fn give_up() -> Result<(), NotGranted> {
    let mut rules = Rules::new();
    for call in NEVER_NEEDED {
        deny(&mut rules, *call, Vec::new());
    }
    // A library may ask whether somebody traces it, by asking to be traced.
    let others = condition(SeccompCmpOp::Ne, u64::from(libc::PTRACE_TRACEME));
    deny(&mut rules, libc::SYS_ptrace, vec![others?]);
    #[cfg(target_arch = "x86_64")]
    for call in X32_ONLY {
        rules.insert(X32 | call, Vec::new());
    }
    apply(rules, libc::EPERM)?;
    let io_uring = IO_URING.iter().map(|call| (*call, Vec::new()));
    apply(io_uring.collect(), libc::ENOSYS)
}

/// Denies this process, and all that it starts, every socket but local ones. `io_uring` must be given
/// up already.
pub(crate) fn close_network() -> Result<(), NotGranted> {
    let mut rules = Rules::new();
    let not_local = u64::try_from(libc::AF_UNIX).unwrap_or_default();
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let family = condition(SeccompCmpOp::Ne, not_local);
        deny(&mut rules, call, vec![family?]);
    }
    apply(rules, libc::EACCES)
}

fn deny(rules: &mut Rules, call: libc::c_long, when: Vec<SeccompRule>) {
    #[cfg(target_arch = "x86_64")]
    rules.insert(X32 | call, when.clone());
    rules.insert(call, when);
}

/// A rule on the first argument.
fn condition(op: SeccompCmpOp, value: u64) -> Result<SeccompRule, NotGranted> {
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, op, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|why| NotGranted::Calls(why.to_string()))
}

fn apply(rules: Rules, errno: libc::c_int) -> Result<(), NotGranted> {
    let refused = |why: &dyn ToString| NotGranted::Calls(why.to_string());
    let architecture = TargetArch::try_from(ARCH).map_err(|why| refused(&why))?;
    let deny = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, deny, architecture);
    let filter = filter.and_then(BpfProgram::try_from);
    let filter = filter.map_err(|why| refused(&why))?;
    seccompiler::apply_filter(&filter).map_err(|why| refused(&why))
}
