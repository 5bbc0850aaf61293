//! Environment variables that hold secrets, taken out of the environment.
//!
//! What a process's environment held at its start stays in its memory and in `/proc` to its end. So
//! the daemon puts these variables into a pipe and executes its own program again without them:
//! the same process, with new memory.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::file::read_at_most;
use crate::pipe;

/// A variable that says that standard input is the pipe.
pub const MARK: &str = "QSEED_SECRETS_ON_STDIN";

/// The first file descriptor after standard input, output and error.
const FIRST_FREE_FD: i32 = 3;

/// The variables, as an environment holds them: `NAME=value`, each with a NUL byte behind.
static KEPT: OnceLock<OwnedFd> = OnceLock::new();

/// Takes the pipe off standard input, where [`execute_without`] put it. Runs before anything else
/// reads a variable.
///
/// # Errors
/// What the system says.
pub fn take_over() -> io::Result<()> {
    if std::env::var_os(MARK).is_some() {
        let stdin = rustix::stdio::stdin();
        let kept = rustix::io::fcntl_dupfd_cloexec(stdin, FIRST_FREE_FD)?;
        rustix::stdio::dup2_stdin(OwnedFd::from(File::open("/dev/null")?))?;
        // A second call finds the pipe where the first one left it.
        let _ = KEPT.set(kept);
    }
    Ok(())
}

/// Puts these variables away and executes this program again without them. Returns if none of them
/// is in the environment.
///
/// # Errors
/// Why they stay in the environment.
pub fn execute_without(names: &[String]) -> io::Result<()> {
    let mut kept = Zeroizing::new(Vec::with_capacity(room(names)));
    for name in names {
        if let Some(value) = std::env::var_os(name) {
            let value = Zeroizing::new(value.into_vec());
            for part in [name.as_bytes(), b"=", &value, b"\0"] {
                kept.extend_from_slice(part);
            }
        }
    }
    if kept.is_empty() || KEPT.get().is_some() {
        return Ok(());
    }
    let (from, into) = pipe::with_room(kept.len())?;
    pipe::fill(&into, &kept)?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(arguments.next().unwrap_or_else(|| OsString::from("qseed")));
    command.args(arguments).env(MARK, "1").stdin(from);
    for name in names {
        command.env_remove(name);
    }
    Err(command.exec())
}

/// The bytes that the variables take.
fn room(names: &[String]) -> usize {
    let lengths = names.iter().filter_map(|name| {
        let value = Zeroizing::new(std::env::var_os(name)?.into_vec());
        Some(name.len() + value.len() + 2)
    });
    lengths.sum()
}

/// The value of a variable, wherever it is.
pub(crate) fn value_of(name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let kept = KEPT.get().map(|kept| value_in(kept, name)).transpose()?;
    Ok(kept.flatten().or_else(|| {
        let value = std::env::var_os(name)?;
        Some(Zeroizing::new(value.into_vec()))
    }))
}

fn value_in(kept: &OwnedFd, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let length = pipe::length(kept)?;
    let mut copy = File::from(pipe::copy(kept)?);
    let all = read_at_most(&mut copy, length)?.unwrap_or_default();
    let value = all.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    });
    Ok(value.map(|value| Zeroizing::new(value.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::{pipe, value_in};

    #[test]
    fn variables_are_found_in_a_pipe_as_often_as_they_are_needed() {
        let (kept, into) = pipe::with_room(64).expect("a pipe");
        pipe::fill(&into, b"PIN=1=2\0PIN_B=\0B=\xff\0").expect("there is room");
        for _ in 0..2 {
            let value = |name| {
                value_in(&kept, name)
                    .expect("readable")
                    .map(|it| it.to_vec())
            };
            assert_eq!(value("PIN"), Some(b"1=2".to_vec()));
            assert_eq!(value("PIN_B"), Some(Vec::new()));
            assert_eq!(value("B"), Some(b"\xff".to_vec()));
            assert_eq!(value("PIN_"), None);
            assert_eq!(value(""), None);
        }
    }
}
