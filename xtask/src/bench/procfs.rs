//! What the kernel says about processes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;

/// A process and its children, which are qseed's workers.
pub(super) struct Family {
    members: Vec<u32>,
}

/// What a family holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holdings {
    /// Memory in bytes, shared pages counted in parts (PSS).
    pub(super) memory: u64,
    pub(super) descriptors: usize,
    pub(super) threads: usize,
}

impl Family {
    pub(super) fn of(parent: u32) -> Result<Self, Failure> {
        let children = read(format!("/proc/{parent}/task/{parent}/children"))?;
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        Ok(Self {
            members: std::iter::once(parent).chain(children).collect(),
        })
    }

    /// The number of processes.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// CPU time of all threads, user and system, to the nanosecond.
    pub(super) fn cpu(&self) -> Result<Duration, Failure> {
        let mut sum = Duration::ZERO;
        for pid in &self.members {
            for thread in folder(format!("/proc/{pid}/task"))? {
                sum += on_cpu(&thread)?;
            }
        }
        Ok(sum)
    }

    /// What they hold. Needs root, since qseed lets nobody else look into its memory.
    pub(super) fn holdings(&self) -> Result<Holdings, Failure> {
        let mut sum = Holdings::default();
        for pid in &self.members {
            sum.memory += proportional_memory(&read(format!("/proc/{pid}/smaps_rollup"))?);
            sum.descriptors += folder(format!("/proc/{pid}/fd"))?.count();
            sum.threads += folder(format!("/proc/{pid}/task"))?.count();
        }
        Ok(sum)
    }
}

/// What a thread did since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Thread {
    pub(super) cpu: Duration,
    /// Calls that write.
    pub(super) writes: u64,
    pub(super) bytes_written: u64,
}

impl Thread {
    /// The thread with this name, or nothing done where there is none.
    pub(super) fn named(name: &str, process: u32) -> Result<Self, Failure> {
        for thread in folder(format!("/proc/{process}/task"))? {
            if read(thread.join("comm"))?.trim_end() != name {
                continue;
            }
            let io = read(thread.join("io"))?;
            let number = |name: &str| {
                let line = io.lines().find_map(|line| line.strip_prefix(name));
                let number = line.and_then(|number| number.trim().parse().ok());
                number.ok_or_else(|| Failure::said("/proc/…/io is not as proc(5) says"))
            };
            return Ok(Self {
                cpu: on_cpu(&thread)?,
                writes: number("syscw:")?,
                bytes_written: number("wchar:")?,
            });
        }
        Ok(Self::default())
    }

    /// What it did after an earlier look.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            writes: self.writes - earlier.writes,
            bytes_written: self.bytes_written - earlier.bytes_written,
        }
    }
}

/// The time that a thread ran, user and system.
fn on_cpu(thread: &Path) -> Result<Duration, Failure> {
    let times = read(thread.join("schedstat"))?;
    let on_cpu = times.split_whitespace().next();
    let on_cpu = on_cpu.and_then(|time| time.parse().ok());
    let on_cpu = on_cpu.ok_or_else(|| Failure::said("schedstat without a time"))?;
    Ok(Duration::from_nanos(on_cpu))
}

/// CPU time of the children of this process that ended, and of theirs, in steps of a tick.
///
/// The kernel adds them up to the nanosecond, so the step is one in the sum of them all.
pub(super) fn cpu_of_ended_children() -> Result<Duration, Failure> {
    let ticks = ticks_of_ended_children(&read("/proc/self/stat")?);
    let ticks = ticks.ok_or_else(|| Failure::said("/proc/self/stat is not as proc(5) says"))?;
    let a_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_nanos(ticks * 1_000_000_000 / a_second))
}

/// `cutime` and `cstime`, the 16th and 17th field; the 2nd is a name between brackets.
fn ticks_of_ended_children(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// `Pss: 1234 kB`, in bytes.
fn proportional_memory(rollup: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next());
    kibibytes
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or_default()
        * 1024
}

fn read(path: impl AsRef<Path>) -> Result<String, Failure> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(Failure::io(path.display().to_string()))
}

fn folder(path: String) -> Result<impl Iterator<Item = std::path::PathBuf>, Failure> {
    let entries = fs::read_dir(&path).map_err(Failure::io(path))?;
    Ok(entries.flatten().map(|entry| entry.path()))
}

#[cfg(test)]
mod tests {
    use super::{proportional_memory, ticks_of_ended_children};

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 700 80 20 0 1 0 5 6 7";
        assert_eq!(ticks_of_ended_children(stat), Some(780));
        assert_eq!(ticks_of_ended_children("7 (a"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let rollup = "00400000-7ffd Rollup\nRss:    3000 kB\nPss:    2000 kB\nPss_Dirty: 9 kB\n";
        assert_eq!(proportional_memory(rollup), 2_048_000);
    }
}
