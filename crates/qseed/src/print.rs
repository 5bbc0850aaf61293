//! What commands print on standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::exit::Failure;

/// Writes `text` to standard output. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// What the system says where it cannot be written otherwise, for example to a full disk.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::internal("cannot write to standard output", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes one JSON document to standard output.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(document: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{document:#}\n"))
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
