//! What commands print on standard output.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::ops::ControlFlow;

use crate::exit::Failure;

/// Writes `text` to standard output. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// What the system says where it cannot be written otherwise, for example to a full disk.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written(result).map(drop)
}

/// Writes one JSON document to standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(document: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{document:#}\n"))
}

/// Standard output for what is too long to be held in memory.
pub(crate) struct Printer(BufWriter<StdoutLock<'static>>);

impl Printer {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    /// Writes more text. Breaks if the reader has seen enough (`| head`).
    ///
    /// # Errors
    /// As [`print()`].
    pub(crate) fn print(&mut self, text: &str) -> Result<ControlFlow<()>, Failure> {
        written(self.0.write_all(text.as_bytes()))
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As [`print()`].
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        written(self.0.flush()).map(drop)
    }
}

fn written(result: io::Result<()>) -> Result<ControlFlow<()>, Failure> {
    match result {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::internal("cannot write to standard output", error)),
    }
}

/// `1 slot`, `2 slots`.
pub(crate) fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, what: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn one_is_singular() {
        assert_eq!(count(0_usize, "slot"), "0 slots");
        assert_eq!(count(1_u32, "slot"), "1 slot");
        assert_eq!(count(12_u64, "slot"), "12 slots");
    }
}
