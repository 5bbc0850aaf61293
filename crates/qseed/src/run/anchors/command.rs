//! The anchor command: a program that carries a checkpoint out of the host.
//!
//! It runs in a process group of its own, gets the signed note on standard input, and has a time, and
//! an amount of output, after which qseed kills the whole group. Its environment has nothing of
//! qseed's but the variables that name places and languages.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qseed_config::Anchor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::log::printable;

/// How long the command may run.
pub(super) const RUNS_AT_MOST: Duration = Duration::from_secs(60);

/// The most bytes that it may print.
const MOST_OUTPUT: usize = 1 << 20;

/// The most characters of its last line that are kept.
const MOST_SAID: usize = 300;

/// The variables that the command inherits.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR",
];

/// How a run of the command ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ended: Result<ExitStatus, Fault>,
    /// The last line that it printed and that is not blank.
    pub(super) said: Option<String>,
}

impl Run {
    /// Its exit code, unless something killed it or it never ran.
    pub(super) fn code(&self) -> Option<i32> {
        self.ended.as_ref().ok()?.code()
    }

    /// There was not even a thread for it.
    pub(super) fn not_started(why: io::Error) -> Self {
        Self {
            ended: Err(Fault::Start(why)),
            said: None,
        }
    }
}

/// Why a run has no exit status of the command's own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("cannot start it: {0}")]
    Start(io::Error),
    #[error("it ran longer than {} s, so qseed killed it", .0.as_secs())]
    TooLong(Duration),
    #[error("it printed more than 1 MiB, so qseed killed it")]
    TooMuch,
    #[error("qseed ends, so it killed it")]
    Stopped,
}

/// The running command, so that it can be ended early.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    group: Option<Pid>,
    is_over: bool,
}

impl Running {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills what runs, and lets nothing start any more.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.is_over = true;
        kill(state.group);
    }

    fn start(&self, command: &mut Command) -> Result<Child, Fault> {
        let mut state = self.state();
        if state.is_over {
            return Err(Fault::Stopped);
        }
        let child = command.spawn().map_err(Fault::Start)?;
        state.group = pid(&child);
        Ok(child)
    }

    /// Kills what is left of the group, and waits for the command itself.
    fn finish(&self, child: &mut Child) -> Result<ExitStatus, Fault> {
        // Its number cannot be another's before it is waited for.
        kill(self.state().group.take());
        // One that is stuck in the kernel blocks only this thread.
        let status = child.wait().map_err(Fault::Start)?;
        if self.state().is_over {
            return Err(Fault::Stopped);
        }
        Ok(status)
    }
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().try_into().ok()?)
}

fn kill(group: Option<Pid>) {
    if let Some(group) = group {
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Runs the command with the note on its standard input, to its end. Blocks.
pub(super) fn run(anchor: &Anchor, note: &str, limit: Duration, running: &Running) -> Run {
    let mut said = LastLine::default();
    let ended = attempt(anchor, note, limit, running, &mut said);
    Run {
        ended,
        said: said.finish(),
    }
}

fn attempt(
    anchor: &Anchor,
    note: &str,
    limit: Duration,
    running: &Running,
    said: &mut LastLine,
) -> Result<ExitStatus, Fault> {
    let until = Instant::now() + limit;
    let (output, end) = io::pipe().map_err(Fault::Start)?;
    let mut command = Command::new(&anchor.program);
    command
        .args(&anchor.arguments)
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(end.try_clone().map_err(Fault::Start)?)
        .stderr(end);
    let mut child = running.start(&mut command)?;
    // It holds the other end of the output.
    drop(command);
    if let Some(mut input) = child.stdin.take() {
        // A note is shorter than a pipe is deep, so this does not block. A command that reads
        // nothing may have closed it.
        let _ = input.write_all(note.as_bytes());
    }
    let watched = watch(&child, output, until, said);
    let status = running.finish(&mut child);
    match watched {
        Ok(()) => status,
        Err(Stop::Time) => status.and(Err(Fault::TooLong(limit))),
        Err(Stop::Output) => status.and(Err(Fault::TooMuch)),
        Err(Stop::Failed(why)) => Err(Fault::Start(why)),
    }
}

/// Why a command is killed.
enum Stop {
    Time,
    Output,
    Failed(io::Error),
}

/// Reads what the command prints until it ends. What it leaves behind is not waited for.
fn watch(
    child: &Child,
    output: PipeReader,
    until: Instant,
    said: &mut LastLine,
) -> Result<(), Stop> {
    let failed = |why: rustix::io::Errno| Stop::Failed(why.into());
    let gone = || Stop::Failed(io::ErrorKind::NotFound.into());
    let ended = pidfd_open(pid(child).ok_or_else(gone)?, PidfdFlags::empty()).map_err(failed)?;
    rustix::io::ioctl_fionbio(&output, true).map_err(failed)?;
    let mut output = Output {
        pipe: Some(output),
        room: MOST_OUTPUT,
    };
    loop {
        if wait(&ended, output.pipe.as_ref(), until)? {
            return output.read(said);
        }
        output.read(said)?;
    }
}

/// Waits for output or the command's end. Returns whether that has come.
fn wait(ended: &OwnedFd, output: Option<&PipeReader>, until: Instant) -> Result<bool, Stop> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Stop::Time);
    }
    let left = Timespec::try_from(left).map_err(|why| Stop::Failed(io::Error::other(why)))?;
    let mut fds = vec![PollFd::new(ended, PollFlags::IN)];
    let output = output.map(AsFd::as_fd);
    fds.extend(
        output
            .iter()
            .map(|output| PollFd::new(output, PollFlags::IN)),
    );
    match poll(&mut fds, Some(&left)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!fds[0].revents().is_empty()),
        Err(why) => Err(Stop::Failed(why.into())),
    }
}

/// What the command prints.
struct Output {
    /// `None` once it has closed it.
    pipe: Option<PipeReader>,
    /// The bytes that it may still print.
    room: usize,
}

impl Output {
    /// Reads what is there.
    fn read(&mut self, said: &mut LastLine) -> Result<(), Stop> {
        let mut part = [0; 4096];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut part) {
                Ok(0) => self.pipe = None,
                Ok(arrived) => {
                    said.add(&part[..arrived]);
                    self.room = self.room.checked_sub(arrived).ok_or(Stop::Output)?;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(Stop::Failed(why)),
            }
        }
        Ok(())
    }
}

/// Keeps the last line of a text that comes in pieces.
#[derive(Default)]
struct LastLine {
    complete: Vec<u8>,
    begun: Vec<u8>,
}

impl LastLine {
    fn add(&mut self, text: &[u8]) {
        for &byte in text {
            if byte != b'\n' {
                // A character of UTF-8 has at most four bytes.
                if self.begun.len() < 4 * MOST_SAID {
                    self.begun.push(byte);
                }
            } else if self.begun.trim_ascii().is_empty() {
                self.begun.clear();
            } else {
                self.complete = std::mem::take(&mut self.begun);
            }
        }
    }

    fn finish(mut self) -> Option<String> {
        self.add(b"\n");
        let text = String::from_utf8_lossy(self.complete.trim_ascii()).into_owned();
        let text: String = text.chars().take(MOST_SAID).collect();
        (!text.is_empty()).then(|| printable(&text))
    }
}

/// How the command's own end reads: `exit status 3`, `killed by signal 15`.
pub(super) fn end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use qseed_config::Anchor;

    use super::{Fault, Run, Running, run};

    const PATIENT: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Anchor {
        Anchor {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
        }
    }

    fn ran(script: &str, limit: Duration) -> Run {
        run(&shell(script), "the note\n", limit, &Running::default())
    }

    /// The processes whose command line has this word.
    fn processes(word: &str) -> usize {
        let all = std::fs::read_dir("/proc").expect("a file system");
        let is_one = |entry: std::io::Result<std::fs::DirEntry>| {
            let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            line.split(|byte| *byte == 0)
                .any(|it| it == word.as_bytes())
                .then_some(())
        };
        all.filter_map(is_one).count()
    }

    fn wait_until_none(word: &str) {
        let until = Instant::now() + PATIENT;
        while processes(word) > 0 {
            assert!(Instant::now() < until, "{word} still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn it_gets_the_note_and_its_last_line_is_kept() {
        let run = ran("cat; echo stamped >&2; echo; echo ' '", PATIENT);
        assert!(run.ended.expect("it ended").success());
        assert_eq!(run.said.as_deref(), Some("stamped"));
        let run = ran("cat; exit 3", PATIENT);
        assert_eq!(run.ended.expect("it ended").code(), Some(3));
        assert_eq!(run.said.as_deref(), Some("the note"));
        let run = ran("exec <&-; printf 'a\\033[2Jb'", PATIENT);
        assert_eq!(run.said.as_deref(), Some("a\\u{1b}[2Jb"));
    }

    #[test]
    fn a_program_that_is_not_there_is_said() {
        let anchor = Anchor {
            program: "/nowhere/anchor".into(),
            arguments: Vec::new(),
        };
        let run = run(&anchor, "", PATIENT, &Running::default());
        assert!(matches!(run.ended, Err(Fault::Start(_))), "{run:?}");
    }

    #[test]
    fn its_environment_has_nothing_of_qseed() {
        let run = ran("echo $(env | cut -d= -f1 | sort)", PATIENT);
        let said = run.said.expect("a line");
        for name in said.split(' ') {
            let is_shells = ["PWD", "SHLVL", "OLDPWD", "_"].contains(&name);
            assert!(is_shells || super::INHERITED.contains(&name), "{said}");
        }
        assert!(said.contains("PATH") && !said.contains("CARGO"), "{said}");
    }

    #[test]
    fn one_that_hangs_is_killed_with_all_that_it_started() {
        let word = "61.2345";
        let run = ran(
            &format!("echo begun; sleep {word} & sleep {word}"),
            Duration::from_secs(1),
        );
        assert!(matches!(run.ended, Err(Fault::TooLong(_))), "{run:?}");
        assert_eq!(run.said.as_deref(), Some("begun"));
        wait_until_none(word);
    }

    #[test]
    fn what_it_leaves_behind_is_killed_and_holds_nobody_up() {
        let word = "62.2345";
        let began = Instant::now();
        let run = ran(&format!("sleep {word} & echo done"), PATIENT);
        assert!(run.ended.expect("it ended").success());
        assert_eq!(run.said.as_deref(), Some("done"));
        assert!(began.elapsed() < PATIENT);
        wait_until_none(word);
    }

    #[test]
    fn one_that_floods_is_killed() {
        let run = ran("exec yes a-line-of-a-flood", PATIENT);
        assert!(matches!(run.ended, Err(Fault::TooMuch)), "{run:?}");
        let run = ran("exec tr '\\0' x </dev/zero", PATIENT);
        assert!(matches!(run.ended, Err(Fault::TooMuch)), "{run:?}");
        assert_eq!(run.said.map(|said| said.len()), Some(super::MOST_SAID));
    }

    #[test]
    fn one_that_runs_at_the_end_is_killed_and_no_other_starts() {
        let word = "63.2345";
        let running = Running::default();
        let stopper = running.clone();
        let stops = std::thread::spawn(move || {
            while processes(word) == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            stopper.stop();
        });
        let ended = run(&shell(&format!("exec sleep {word}")), "", PATIENT, &running);
        assert!(matches!(ended.ended, Err(Fault::Stopped)), "{ended:?}");
        stops.join().expect("it stopped");
        let after = run(&shell("true"), "", PATIENT, &running);
        assert!(matches!(after.ended, Err(Fault::Stopped)), "{after:?}");
    }
}
