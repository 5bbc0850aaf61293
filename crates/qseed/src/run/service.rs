//! The desk for the service manager and signals.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};

use super::manager::notify;
use super::orphans::Orphans;

/// What the outside wants of the daemon.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Stop,
    Reload,
    /// A process that was inherited has ended.
    Reap,
}

#[derive(Debug)]
pub(super) struct Service {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    orphans: Orphans,
    watchdog: Option<Interval>,
    readiness: Readiness,
}

/// Whether the service manager knows that the daemon is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Unknown,
    Known,
}

impl Service {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            orphans: Orphans::watch()?,
            watchdog: watchdog(),
            readiness: Readiness::Unknown,
        })
    }

    /// The next wish. Tells the service manager meanwhile that the daemon is alive, where it wants
    /// to hear so.
    pub(super) async fn next(&mut self) -> Wish {
        loop {
            tokio::select! {
                biased;
                _ = self.terminate.recv() => return Wish::Stop,
                _ = self.interrupt.recv() => return Wish::Stop,
                _ = self.hang_up.recv() => return Wish::Reload,
                () = self.orphans.ended() => return Wish::Reap,
                () = tick(&mut self.watchdog) => notify(&[NotifyState::Watchdog]),
            }
        }
    }

    /// Tells the service manager once that the daemon is ready.
    pub(super) fn is_ready(&mut self) {
        if self.readiness == Readiness::Unknown {
            self.readiness = Readiness::Known;
            notify(&[NotifyState::Ready]);
        }
    }
}

/// Ticks twice in each interval in which the service manager wants to hear from the daemon.
fn watchdog() -> Option<Interval> {
    let wanted = sd_notify::watchdog_enabled()?;
    let every = (wanted / 2).max(Duration::from_millis(1));
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(interval)
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
