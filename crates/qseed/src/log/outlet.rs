//! Standard output, written to only while somebody reads it: a reader that has stopped reading
//! must stop nothing else.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Lines that wait for a reader before more are lost.
const WAITING_LINES: usize = 4096;
/// What a pipe that polls as writable takes without blocking (`PIPE_BUF` on Linux).
const PIECE: usize = 4096;
/// How long the last lines have to get out at the end.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(500);

/// Lines on their way to standard output.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    waiting: VecDeque<Vec<u8>>,
}

impl Outlet {
    /// Writes a line, or keeps it until there is a reader. `false`: too many wait, it is lost.
    pub(super) fn take(&mut self, line: String) -> bool {
        if self.waiting.len() >= WAITING_LINES {
            self.write(Duration::ZERO);
        }
        if self.waiting.len() >= WAITING_LINES {
            return false;
        }
        self.waiting.push_back(line.into_bytes());
        self.write(Duration::ZERO);
        true
    }

    /// Writes what waits, for as long as somebody reads, or begins to within `patience`.
    fn write(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        while let Some(line) = self.waiting.front_mut() {
            let left = until.saturating_duration_since(Instant::now());
            if !writable(left) {
                return;
            }
            let piece = &line[..line.len().min(PIECE)];
            match rustix::io::write(rustix::stdio::stdout(), piece) {
                Ok(written) if written < line.len() => {
                    line.drain(..written);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // A closed standard output or a full disk is no reason to stop seeding.
                Ok(_) | Err(_) => {
                    self.waiting.pop_front();
                }
            }
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.write(LAST_LINES_WITHIN);
    }
}

/// Whether standard output takes something, now or within `patience`.
fn writable(patience: Duration) -> bool {
    let stdout = rustix::stdio::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
    let patience = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    // An error of the outlet's shows when it is written to.
    poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
}
