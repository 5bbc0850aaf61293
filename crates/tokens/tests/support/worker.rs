//! What `qseed worker` is in the program, for this crate's tests.

use std::process::ExitCode;
use std::time::Duration;

use qseed_tokens::worker;

fn main() -> ExitCode {
    // Tests that are about the look at a token before a seed have one before each seed.
    if std::env::var_os("LOOK_BEFORE_EACH_SEED").is_some() {
        return worker::run_looking_again_after(Duration::ZERO);
    }
    worker::run()
}
