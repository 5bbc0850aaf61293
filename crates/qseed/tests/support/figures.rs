//! What a process takes of the host, from /proc.

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
