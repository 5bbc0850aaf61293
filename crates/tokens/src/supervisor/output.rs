//! What a module writes to standard output and error, as lines for a log.

use std::fmt::Write;
use std::time::Duration;

use qseed_model::Output;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Reporter, WorkerEvent};

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// The longest line that is passed on, in characters.
const MAX_LINE: usize = 1_000;

/// The bytes kept of a line: a character has four at most.
const MAX_LINE_BYTES: usize = 4 * MAX_LINE;

/// The bytes read at a time.
const BUFFER: usize = 4_096;

/// How many lines are passed on in each [`WINDOW`]; the others are counted.
const LINES_PER_WINDOW: u32 = 100;

/// A chatty module must not fill the daemon's log.
const WINDOW: Duration = Duration::from_secs(1);

/// Reads what a module writes until the pipe ends.
pub(super) fn read(
    tasks: &mut JoinSet<()>,
    output: Output,
    pipe: impl AsyncRead + Unpin + Send + 'static,
    stream: Stream,
    events: &Reporter,
) {
    let events = events.clone();
    match output {
        Output::Count => tasks.spawn(count_lines(pipe, events)),
        Output::Log => tasks.spawn(read_lines(pipe, stream, events)),
    };
}

/// Counts lines until the pipe ends: the first at once, then those of a second together.
async fn count_lines(mut pipe: impl AsyncRead + Unpin + Send, events: Reporter) {
    let mut reported: Option<Instant> = None;
    let mut lines = 0;
    let mut inside_line = false;
    let mut buffer = Zeroizing::new([0; BUFFER]);
    while let Ok(read @ 1..) = pipe.read(buffer.as_mut_slice()).await {
        let ends = buffer[..read].iter().filter(|byte| **byte == b'\n');
        lines += ends.count() as u64;
        inside_line = buffer[read - 1] != b'\n';
        if lines > 0 && reported.is_none_or(|at| at.elapsed() >= WINDOW) {
            reported = Some(Instant::now());
            if !withheld(&events, std::mem::take(&mut lines)).await {
                return;
            }
        }
    }
    withheld(&events, lines + u64::from(inside_line)).await;
}

/// Reports each line until the pipe ends.
async fn read_lines(mut pipe: impl AsyncRead + Unpin + Send, stream: Stream, events: Reporter) {
    let mut allowance = Allowance::new(Instant::now());
    let mut lines = Lines::default();
    let mut buffer = [0; BUFFER];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        for line in lines.push(&buffer[..read]) {
            if !pass_on(&mut allowance, line, stream, &events).await {
                return;
            }
        }
    }
    if let Some(line) = lines.finish() {
        pass_on(&mut allowance, line, stream, &events).await;
    }
    withheld(&events, allowance.withheld).await;
}

/// Reports lines that are not passed on, if there are any. `false` if nobody listens any more.
async fn withheld(events: &Reporter, lines: u64) -> bool {
    let event = WorkerEvent::OutputWithheld { lines };
    lines == 0 || events.report(event).await
}

/// Reports a line, if it may be passed on. `false` if nobody listens any more.
async fn pass_on(
    allowance: &mut Allowance,
    line: String,
    stream: Stream,
    events: &Reporter,
) -> bool {
    let (may_pass, lines) = allowance.spend(Instant::now());
    if !withheld(events, lines).await {
        return false;
    }
    !may_pass || events.report(WorkerEvent::Output { stream, line }).await
}

/// How many lines may still be passed on in the window that runs.
struct Allowance {
    window: Instant,
    left: u32,
    withheld: u64,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            window: now,
            left: LINES_PER_WINDOW,
            withheld: 0,
        }
    }

    /// Whether one more line may be passed on, and how many were withheld in a window that is
    /// over.
    fn spend(&mut self, now: Instant) -> (bool, u64) {
        let mut withheld = 0;
        if now.duration_since(self.window) >= WINDOW {
            withheld = self.withheld;
            *self = Self::new(now);
        }
        if self.left == 0 {
            self.withheld += 1;
            return (false, withheld);
        }
        self.left -= 1;
        (true, withheld)
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` completes; blank ones are left out.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            // One byte more than is shown, so that a cut is noticed.
            let room = (MAX_LINE_BYTES + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                complete.extend(self.finish());
            }
        }
        complete
    }

    /// The line that has no end yet.
    fn finish(&mut self) -> Option<String> {
        let line = printable(&std::mem::take(&mut self.line));
        Some(line).filter(|line| !line.trim().is_empty())
    }
}

/// Text for a log: at most [`MAX_LINE`] characters, control characters escaped.
fn printable(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::with_capacity(text.len().min(MAX_LINE_BYTES));
    for (place, character) in text.chars().enumerate() {
        if place == MAX_LINE - 1 && text.chars().nth(MAX_LINE).is_some() {
            line.push('…');
            break;
        }
        if character.is_control() && character != '\t' {
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Allowance, LINES_PER_WINDOW, Lines, MAX_LINE, printable};

    #[test]
    fn lines_arrive_however_they_are_cut() {
        let text = b"one\n\ntwo\r\n\x1b[31mred\xff\nlast";
        for piece in 1..text.len() {
            let mut lines = Lines::default();
            let mut got: Vec<_> = text
                .chunks(piece)
                .flat_map(|part| lines.push(part))
                .collect();
            got.extend(lines.finish());
            assert_eq!(got, ["one", "two", "\\u{1b}[31mred\u{fffd}", "last"]);
        }
    }

    #[test]
    fn a_line_without_end_takes_bounded_room() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.push(&[b'x'; 4_096]).is_empty());
        }
        assert!(lines.line.capacity() < 16_384);
        let line = lines.finish().expect("a line");
        assert_eq!(line.chars().count(), MAX_LINE);
        assert!(line.ends_with("x…"));
        assert_eq!(printable(&[b'x'; MAX_LINE]), "x".repeat(MAX_LINE));
    }

    #[test]
    fn a_flood_is_counted_not_passed_on() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let passed = (0..1_000).filter(|_| allowance.spend(start).0).count();
        assert_eq!(passed, LINES_PER_WINDOW as usize);
        let later = allowance.spend(start + Duration::from_secs(1));
        assert_eq!(later, (true, 900));
        assert_eq!(allowance.spend(start + Duration::from_secs(1)), (true, 0));
    }
}
