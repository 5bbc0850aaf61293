//! What `qseed worker` is in the program, for this crate's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    qseed_tokens::worker::run()
}
