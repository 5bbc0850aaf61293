//! What `qseed worker` is in the program, for this crate's tests.

fn main() -> std::process::ExitCode {
    qseed_tokens::worker::run()
}
