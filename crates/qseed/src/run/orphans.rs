//! Process number one, as in a container, inherits the processes whose parents ended before them.
//! Those that have ended stay in the system's table until they are waited for.

use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The children of the daemon's thread, including the ones that process 1 inherits.
const CHILDREN: &str = "/proc/thread-self/children";

/// Notices that a child has ended, where this is process number one.
#[derive(Debug)]
pub(super) struct Orphans {
    child_ended: Option<Signal>,
}

impl Orphans {
    pub(super) fn watch() -> std::io::Result<Self> {
        let child_ended = getpid()
            .is_init()
            .then(|| signal(SignalKind::child()))
            .transpose()?;
        Ok(Self { child_ended })
    }

    /// Waits until a child has ended; for ever, where nobody's children are inherited.
    pub(super) async fn ended(&mut self) {
        match &mut self.child_ended {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Waits for every child that has ended and is no worker: each worker is waited for by the task
/// that watches it, which is to learn how it ended.
pub(super) fn reap(is_worker: impl Fn(i32) -> bool) {
    let children = std::fs::read_to_string(CHILDREN).unwrap_or_default();
    let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
    for id in ids.filter(|id| !is_worker(*id)).filter_map(Pid::from_raw) {
        // One that still runs will say so when it ends.
        let _ = waitpid(Some(id), WaitOptions::NOHANG);
    }
}
