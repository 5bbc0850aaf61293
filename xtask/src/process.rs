//! Running programs: in a process group of their own, with a deadline, and gone when xtask goes.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal as UnixSignal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGINT and SIGTERM: people and CI end a task with them.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::io("listening to signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits until somebody asks for the end.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A program with everything that it started. Dropping it kills them all.
pub(crate) struct Group {
    child: Child,
}

impl Group {
    /// Starts `command` in a process group of its own, without standard input.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Failure> {
        let name = name_of(command);
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::io(name))?;
        Ok(Self { child })
    }

    /// The program's process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The program itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal to the program alone.
    pub(crate) fn signal(&self, signal: UnixSignal) {
        if let Some(pid) = self.pid() {
            // One that is gone meanwhile needs no signal.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only while the program itself is not waited for is the group's number surely its own.
        if let Some(pid) = self.pid() {
            let _ = rustix::process::kill_process_group(pid, UnixSignal::KILL);
        }
    }
}

/// How a program ended.
pub(crate) struct Ended {
    /// Its status; none where its deadline passed.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) took: Duration,
}

impl Ended {
    /// Whether it ended with code 0.
    pub(crate) fn well(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs a program to its end or `deadline`; what it writes goes into the file `log`.
pub(crate) async fn run_logged(
    command: &mut Command,
    log: &Path,
    deadline: Duration,
    stop: &mut Stop,
) -> Result<Ended, Failure> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|file| Ok((file.try_clone()?, file)));
    let (output, error) = file.map_err(Failure::io(log.display().to_string()))?;
    let began = Instant::now();
    let mut group = Group::spawn(command.stdout(output).stderr(error))?;
    let status = tokio::select! {
        status = group.child.wait() => Some(status.map_err(Failure::io(name_of(command)))?),
        () = tokio::time::sleep(deadline) => None,
        () = stop.asked() => return Err(Failure::Stopped),
    };
    Ok(Ended {
        status,
        took: began.elapsed(),
    })
}

/// Runs a program that has to succeed and gives what it wrote to standard output.
pub(crate) async fn output_of(command: &mut Command) -> Result<String, Failure> {
    let name = name_of(command);
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Failure::io(name.clone()))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let output = [stdout, stderr].concat();
    Err(Failure::Command {
        command: name,
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

/// Runs a program that has to succeed and writes where xtask itself writes.
pub(crate) async fn run_shown(command: &mut Command, stop: &mut Stop) -> Result<(), Failure> {
    let mut group = Group::spawn(command)?;
    let status = tokio::select! {
        status = group.child.wait() => status.map_err(Failure::io(name_of(command)))?,
        () = stop.asked() => return Err(Failure::Stopped),
    };
    if status.success() {
        return Ok(());
    }
    Err(Failure::said(format!(
        "{} did not succeed ({status})",
        name_of(command)
    )))
}

/// The program and its arguments, for people.
pub(crate) fn name_of(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(std::ffi::OsStr::to_string_lossy).collect();
    words.join(" ")
}
