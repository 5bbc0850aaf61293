//! qseed as a process.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use super::PATIENCE;
use super::lines::Lines;

/// The built program.
pub const QSEED: &str = env!("CARGO_BIN_EXE_qseed");

/// A running qseed, or one that has ended. Dropping it kills it.
pub struct Qseed {
    child: Child,
    ended: OwnedFd,
    /// Standard output: the log.
    pub log: Lines,
    /// Standard error.
    pub errors: Lines,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

/// A command of qseed's, untouched by the surroundings of the tests.
pub fn qseed() -> Command {
    let mut command = Command::new(QSEED);
    untouched(&mut command);
    command
}

/// Keeps the surroundings of the tests from a command.
pub fn untouched(command: &mut Command) {
    for name in [
        "QSEED_CONFIG_FILE",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "SOFTHSM2_CONF",
    ] {
        command.env_remove(name);
    }
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
    ] {
        command.env_remove(name);
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    Qseed::start(command).ended()
}

impl Qseed {
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("qseed was built with this test");
        let log = Lines::of(child.stdout.take().expect("it is piped"));
        let errors = Lines::of(child.stderr.take().expect("it is piped"));
        let ended = pidfd_open(pid_of(child.id()), PidfdFlags::empty());
        Self {
            child,
            ended: ended.expect("the child is not reaped yet"),
            log,
            errors,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(pid_of(self.id()), signal).expect("the child is not reaped yet");
    }

    /// Waits until it has ended.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let ended = self.ended_within(PATIENCE);
        let log = self.log.all().join("\n");
        assert!(ended, "qseed does not end; its log:\n{log}");
        self.child.wait().expect("it has ended")
    }

    /// Waits so long for its end.
    pub fn ended_within(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("a test waits less than an age");
            let mut fds = [PollFd::new(&self.ended, PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("poll: {error}"),
            }
        }
    }

    pub fn is_running(&self) -> bool {
        !self.ended_within(Duration::ZERO)
    }

    /// Waits for its end by itself.
    pub fn ended(mut self) -> Ended {
        let status = self.wait_exit();
        Ended {
            code: status.code(),
            output: self.log.to_the_end().join("\n"),
            errors: self.errors.to_the_end().join("\n"),
        }
    }

    /// Stops it as an operator does, and returns its log. It must end well.
    pub fn stop(self) -> Vec<String> {
        assert!(self.is_running(), "it ended: {:?}", self.errors.all());
        self.signal(Signal::TERM);
        self.stop_after_signal()
    }

    /// The same after the signal.
    pub fn stop_after_signal(mut self) -> Vec<String> {
        let status = self.wait_exit();
        assert_eq!(status.code(), Some(0), "{status}: {:?}", self.errors.all());
        self.log.to_the_end()
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.wait_exit().signal(), Some(Signal::KILL.as_raw()));
        // Its workers hold the other ends of its pipes: they are gone when these are.
        self.log.to_the_end();
    }

    /// Waits for an event of a log in JSON, after the first `from` lines.
    pub fn event_from(&self, from: usize, event: &str) -> Value {
        let line = self
            .log
            .wait_from(from, event, |line| is_event(line, event));
        serde_json::from_str(&line).expect("it was just read")
    }

    /// Waits for an event of a log in JSON.
    pub fn event(&self, event: &str) -> Value {
        self.event_from(0, event)
    }

    /// Waits for so many injections in all, in a log of either form.
    pub fn wait_pushed(&self, wanted: usize) {
        self.log
            .wait_many(wanted, "injections", |line| line.contains("Pushed "));
    }

    /// Waits for an injection after the first `from` lines.
    pub fn pushed_from(&self, from: usize) {
        self.log
            .wait_from(from, "an injection", |line| line.contains("Pushed "));
    }

    /// The ids of its worker processes.
    pub fn workers(&self) -> Vec<u32> {
        children(self.id())
    }
}

impl Drop for Qseed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.all();
            let from = log.len().saturating_sub(30);
            eprintln!(
                "-- log\n{}\n-- errors\n{}",
                log[from..].join("\n"),
                self.errors.all().join("\n")
            );
        }
        // Has no effect on one that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line is an event of this name in a log in JSON.
pub fn is_event(line: &str, event: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line["event"] == event)
}

/// The processes that a process has started and that are not waited for.
pub fn children(of: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let mut children: Vec<u32> = tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            let ids: Vec<u32> = list
                .split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect();
            ids
        })
        .collect();
    children.sort_unstable();
    children.dedup();
    children
}

/// Ends a process.
pub fn kill(id: u32, signal: Signal) {
    // It may have ended by itself meanwhile.
    let _ = kill_process(pid_of(id), signal);
}

pub fn pid_of(id: u32) -> Pid {
    let id = i32::try_from(id).expect("a process id");
    Pid::from_raw(id).expect("no process is number 0")
}
