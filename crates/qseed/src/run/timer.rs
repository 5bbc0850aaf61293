//! When the engine wants to be woken: a timer of the kernel's.
//!
//! The runtime's own timers wake the process two or three times on the way to a moment that is a
//! second off, and an idle daemon does little else than being woken.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A timer that fires once at a moment.
#[derive(Debug)]
pub(super) struct Timer {
    /// The timer is read like a pipe: eight bytes once it has fired.
    timer: Receiver,
    set_for: Option<Instant>,
}

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            timer: Receiver::from_owned_fd_unchecked(timer)?,
            set_for: None,
        })
    }

    /// Waits for the moment, or for ever if there is none. May be dropped and called again.
    pub(super) async fn fires(&mut self, at: Option<Instant>) -> io::Result<()> {
        let Some(moment) = at else {
            return std::future::pending().await;
        };
        if self.set_for != at {
            self.set(moment)?;
            self.set_for = at;
        }
        // Room for more than the eight bytes that come: less than was asked for tells the runtime
        // that there is no more for now.
        let _eight = self.timer.read(&mut [0; 16]).await?;
        self.set_for = None;
        Ok(())
    }

    fn set(&self, moment: Instant) -> io::Result<()> {
        // No time at all would switch the timer off.
        let left = moment
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let nothing = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = Itimerspec {
            it_interval: nothing,
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Timer;
    use std::time::{Duration, Instant};

    #[test]
    fn it_fires_at_the_moment_that_was_asked_for_last() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut timer = Timer::new().expect("a timer");
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                biased;
                _ = timer.fires(Some(far)) => panic!("an hour has not passed"),
                () = tokio::task::yield_now() => {}
            }
            let near = Instant::now() + Duration::from_millis(20);
            timer.fires(Some(near)).await.expect("it fires");
            assert!(Instant::now() >= near);
            let past = near;
            timer.fires(Some(past)).await.expect("it fires at once");
        });
    }
}
