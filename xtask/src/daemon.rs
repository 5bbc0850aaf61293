//! qseed and the simulator of an entropy service, run as programs.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::failure::Failure;
use crate::process::Group;

/// Longest time in which a program that is asked to end does so: qseed promises 5 s.
const ENDING: Duration = Duration::from_secs(10);

/// A program whose standard output is read line by line.
pub(crate) struct Program {
    group: Group,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it. What it writes to standard error is seen as it is.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut group = Group::spawn(command.stdout(Stdio::piped()))?;
        let output = group.child().stdout.take();
        let output = output.ok_or_else(|| Failure::said("a program without standard output"))?;
        Ok(Self {
            group,
            lines: BufReader::new(output).lines(),
        })
    }

    /// Its process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.group.id()
    }

    /// The next line, or none at its end. Nothing is lost where this is dropped while it waits.
    pub(crate) async fn line(&mut self) -> Result<Option<String>, Failure> {
        self.lines
            .next_line()
            .await
            .map_err(Failure::io("reading a program's output"))
    }

    /// Asks it to end.
    pub(crate) fn interrupt(&self) {
        self.group.signal(Signal::INT);
    }

    /// Waits for its end; none where it does not come.
    pub(crate) async fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let wait = self.group.child().wait();
        match tokio::time::timeout(ENDING, wait).await {
            Ok(status) => status
                .map(Some)
                .map_err(Failure::io("waiting for a program")),
            Err(_) => Ok(None),
        }
    }
}

/// The simulator of an entropy service.
pub(crate) struct Service {
    program: Program,
    pub(crate) url: String,
    /// The certificate of its test CA.
    pub(crate) ca: PathBuf,
    pub(crate) token: &'static str,
}

impl Service {
    /// Starts it over TLS; its certificates go into `folder`.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        more: &[&str],
    ) -> Result<Self, Failure> {
        let token = "token-of-the-simulator";
        let mut command = Command::new(program);
        command
            .args(["--json", "--forget", "--tls", "--token", token, "--state"])
            .arg(folder)
            .args(more);
        let mut program = Program::start(&mut command)?;
        let line = program.line().await?.unwrap_or_default();
        let facts: Value = serde_json::from_str(&line).unwrap_or_default();
        let fact = |name: &str| {
            let text = facts[name].as_str().map(str::to_owned);
            text.ok_or_else(|| Failure::said(format!("entropy-service does not tell its {name}")))
        };
        Ok(Self {
            url: fact("url")?,
            ca: fact("ca")?.into(),
            program,
            token,
        })
    }

    /// Ends it.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        self.program.interrupt();
        self.program.ended().await.map(drop)
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Failure::io(path.display().to_string()))
}

/// The partition that a line of qseed's log says was seeded, if it says so.
///
/// `[…] Pushed 48 bytes of quantum seed material to issuing-ca.`
pub(crate) fn seeded(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("] Pushed ")?;
    let (_, name) = rest.split_once(" bytes of quantum seed material to ")?;
    name.strip_suffix('.')
}

#[cfg(test)]
mod tests {
    use super::seeded;

    #[test]
    fn a_seed_is_seen_in_the_log() {
        let line = "[2024-02-29T15:49:11.316Z] Pushed 48 bytes of quantum seed material to ca-1.";
        assert_eq!(seeded(line), Some("ca-1"));
        assert_eq!(seeded("[2024-02-29T15:49:11.050Z] SLOT #1 (a): b"), None);
    }
}
