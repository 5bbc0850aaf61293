//! The desk for the service manager and signals.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until};

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
    standing: Standing,
}

/// How the partitions stand, for the service manager.
#[derive(Debug)]
struct Standing {
    now: String,
    /// What the service manager knows; nothing before the daemon was ready.
    told: Option<String>,
    /// The earliest time to tell the next change.
    next: Instant,
}

/// How often the service manager hears of changes.
const STANDING_EVERY: Duration = Duration::from_secs(1);

impl Service {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            orphans: Orphans::watch()?,
            watchdog: watchdog(),
            standing: Standing {
                now: String::new(),
                told: None,
                next: Instant::now(),
            },
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
                () = sleep_until(self.standing.next), if self.standing.has_changed() => {
                    let status = self.standing.tell();
                    notify(&[NotifyState::Status(status)]);
                }
            }
        }
    }

    /// Takes in how the partitions stand. The first time, it tells the service manager that the
    /// daemon is ready; changes follow at most once a second.
    pub(super) fn stands(&mut self, standing: String) {
        self.standing.now = standing;
        if self.standing.told.is_none() {
            let status = self.standing.tell();
            notify(&[NotifyState::Ready, NotifyState::Status(status)]);
        }
    }
}

impl Standing {
    fn has_changed(&self) -> bool {
        self.told.as_ref().is_some_and(|told| *told != self.now)
    }

    fn tell(&mut self) -> &str {
        self.next = Instant::now() + STANDING_EVERY;
        self.told.insert(self.now.clone())
    }
}

/// Ticks twice in each interval after which the service manager would restart a silent daemon.
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
