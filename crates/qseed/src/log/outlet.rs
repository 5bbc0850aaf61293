//! Standard output, written to only while somebody reads it: a reader that has stopped reading
//! must stop nothing else.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
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

    /// Writes the last lines. Returns how many are lost, since nobody reads them in time.
    pub(super) fn finish(&mut self) -> u64 {
        self.write(LAST_LINES_WITHIN);
        self.waiting.len() as u64
    }

    /// Writes what waits, for as long as somebody reads, or begins to within `patience`.
    fn write(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        while let Some(line) = self.waiting.front_mut() {
            let left = until.saturating_duration_since(Instant::now());
            if !writable(rustix::stdio::stdout(), left) {
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

/// Whether standard output is systemd's journal: `$JOURNAL_STREAM` has its device and inode
/// (`systemd.exec(5)`). A child of a service inherits the variable, but may write elsewhere.
pub(super) fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let output = rustix::fs::fstat(rustix::stdio::stdout()).ok();
    stream
        .zip(output)
        .is_some_and(|(stream, output)| stream == format!("{}:{}", output.st_dev, output.st_ino))
}

/// Writes to standard error, if it takes something now.
pub(super) fn complain(line: &str) {
    let stderr = rustix::stdio::stderr();
    if writable(stderr, Duration::ZERO) {
        // There is nobody left to tell if this fails, too.
        let _ = rustix::io::write(stderr, line.as_bytes());
    }
}

/// Whether a stream takes something, now or within `patience`.
fn writable(stream: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut fds = [PollFd::new(&stream, PollFlags::OUT)];
    let patience = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    // An error of the outlet's shows when it is written to.
    poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
}
