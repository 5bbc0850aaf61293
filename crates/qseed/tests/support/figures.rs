//! What a process takes of the host, from /proc, and may take.

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::daemon::pid_of;

/// Memory, descriptors and threads of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Proportional set size.
    pub pss_kib: u64,
    /// Resident memory that is the process's own: no file's.
    pub anonymous_kib: u64,
    pub descriptors: usize,
    pub threads: usize,
}

/// The figures of a process.
pub fn figures(id: u32) -> Figures {
    let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup"));
    let rollup = rollup.expect("the tests run as the same user, or as root");
    let kib = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in {rollup}"))
    };
    let entries = |folder: &str| {
        let listed = std::fs::read_dir(format!("/proc/{id}/{folder}"));
        listed.expect("the process runs").count()
    };
    Figures {
        pss_kib: kib("Pss:"),
        anonymous_kib: kib("Anonymous:"),
        descriptors: entries("fd"),
        threads: entries("task"),
    }
}

/// How often a process has given up a processor so far, of itself or not.
pub fn context_switches(id: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).expect("the process runs");
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .map(|status| {
            let counts = status
                .lines()
                .filter(|line| line.contains("voluntary_ctxt_switches"))
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            counts.sum::<u64>()
        })
        .sum()
}

/// Limits the descriptors that a process may open from now on; those that it has stay open.
/// Without a number, to what this process may.
pub fn limit_descriptors(id: u32, most: Option<u64>) {
    let own = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: most.or(own.current),
        maximum: own.maximum,
    };
    prlimit(Some(pid_of(id)), Resource::Nofile, limit).expect("it is ours");
}
