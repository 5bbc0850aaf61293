//! The output of a process, line by line, to wait on.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::PATIENCE;

/// How much of the output a time-out shows.
const SHOWN: usize = 40;

/// The lines that a process has written so far.
#[derive(Clone)]
pub struct Lines {
    shared: Arc<(Mutex<Written>, Condvar)>,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads a stream until it ends.
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::default(), Condvar::new()));
        let lines = Self { shared };
        let reader = lines.clone();
        std::thread::spawn(move || reader.read(stream));
        lines
    }

    fn read(&self, stream: impl Read) {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = stream.read_until(b'\n', &mut line).unwrap_or(0);
            let mut written = self.lock();
            if read == 0 {
                written.ended = true;
            } else {
                let text = String::from_utf8_lossy(&line);
                written.lines.push(text.trim_end_matches('\n').to_owned());
            }
            self.shared.1.notify_all();
            if read == 0 {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// The number of lines so far: the place from which a later wait may begin.
    pub fn count(&self) -> usize {
        self.lock().lines.len()
    }

    /// Waits for a line and returns it.
    pub fn wait(&self, what: &str, found: impl Fn(&str) -> bool) -> String {
        self.wait_from(0, what, found)
    }

    /// Waits for a line after the first `from` and returns it.
    pub fn wait_from(&self, from: usize, what: &str, found: impl Fn(&str) -> bool) -> String {
        self.wait_until(what, |lines| {
            lines.iter().skip(from).find(|line| found(line)).cloned()
        })
    }

    /// Waits for `wanted` such lines.
    pub fn wait_many(&self, wanted: usize, what: &str, found: impl Fn(&str) -> bool) {
        self.wait_until(what, |lines| {
            (lines.iter().filter(|line| found(line)).count() >= wanted).then_some(())
        });
    }

    /// Waits until `look` finds what it looks for in everything that was written.
    pub fn wait_until<T>(&self, what: &str, look: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.lock();
        loop {
            if let Some(found) = look(&written.lines) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || written.ended {
                let from = written.lines.len().saturating_sub(SHOWN);
                let last = written.lines[from..].join("\n");
                let why = if written.ended {
                    "the output ended"
                } else {
                    "waited in vain"
                };
                drop(written);
                panic!("{what}: {why}; the last lines are:\n{last}");
            }
            written = match self.shared.1.wait_timeout(written, left) {
                Ok((written, _)) => written,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Waits until the stream has ended and returns everything.
    pub fn to_the_end(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut written = self.lock();
        while !written.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the output never ends");
            written = match self.shared.1.wait_timeout(written, left) {
                Ok((written, _)) => written,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        written.lines.clone()
    }
}
