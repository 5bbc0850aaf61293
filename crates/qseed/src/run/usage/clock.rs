//! The time of a request, from which other processes can compute its age.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};

/// A time by two clocks: the wall clock, which may be set, and one that runs from the host's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Time {
    /// By the wall clock.
    pub(super) at: Timestamp,
    /// Which start of the host that was, and the nanoseconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) up: Option<(u32, u64)>,
}

impl Time {
    pub(crate) fn now() -> Self {
        Self {
            at: Timestamp::now(),
            up: BOOT.map(|boot| (boot, since_boot())),
        }
    }

    /// The time since another one; by the wall clock only if the host started in between. `None` if
    /// that clock was set back.
    pub(super) fn since(self, earlier: Self) -> Option<Duration> {
        match (self.up, earlier.up) {
            (Some((boot, now)), Some((same, then))) if boot == same => {
                now.checked_sub(then).map(Duration::from_nanos)
            }
            _ => Duration::try_from(self.at.duration_since(earlier.at)).ok(),
        }
    }
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self { at, up: None }
    }
}

/// A number of this start of the host, if the system has one.
static BOOT: LazyLock<Option<u32>> = LazyLock::new(|| {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u32::from_str_radix(id.get(..8)?, 16).ok()
});

/// Nanoseconds since the host's start, time asleep included.
fn since_boot() -> u64 {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
