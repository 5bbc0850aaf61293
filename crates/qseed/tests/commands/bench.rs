//! A folder with a configuration, faulty tokens and whatever else a command is to meet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use qseed_entropy_service::{EntropyService, Options};
use qseed_faulty_token::{Faults, FaultyToken};
use serde_json::Value;
use tempfile::TempDir;

/// Ends a test that would wait for ever; nothing is judged by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The access token of simulated services, which no output may show.
pub(crate) const TOKEN: &str = "hunter2-access-token";

/// The user's PIN of every token: no port or serial number has as many digits.
pub(crate) const PIN: &str = "864209";

/// A user without any rights, whose number every Linux gives to `nobody`.
pub(crate) const NOBODY: u32 = 65_534;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Runs a command to its end. No output of any command shows a secret.
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("qseed starts");
        let ran = Self {
            code: status.code().expect("no signal ended it"),
            out: String::from_utf8(stdout).expect("UTF-8"),
            err: String::from_utf8(stderr).expect("UTF-8"),
        };
        for secret in [TOKEN, PIN, "987654"] {
            let shown = ran.out.contains(secret) || ran.err.contains(secret);
            assert!(!shown, "a secret is shown: {ran:?}");
        }
        ran
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The only line of a verdict that begins so and mentions all of `words`.
    #[track_caller]
    pub(crate) fn verdict(&self, beginning: &str, words: &[&str]) -> &str {
        let lines = self.out.lines().filter(|line| line.starts_with(beginning));
        let mut lines = lines.filter(|line| words.iter().all(|word| line.contains(word)));
        match (lines.next(), lines.next()) {
            (Some(line), None) => line,
            (one, more) => panic!("{beginning:?} {words:?}: {one:?}, {more:?} in {self:#?}"),
        }
    }

    /// The lines that are faults.
    pub(crate) fn faults(&self) -> Vec<&str> {
        let lines = self.out.lines();
        lines.filter(|line| line.starts_with("fault ")).collect()
    }
}

/// `qseed`, with no environment of the machine's own.
pub(crate) fn qseed() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qseed"));
    command.env_clear();
    command
}

/// The same as a user without any rights: where the tests run as another, as that one.
pub(crate) fn qseed_of_nobody() -> Command {
    let mut command = qseed();
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// A folder of a test's own.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that nobody else can read.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        mode(&path, 0o600);
        path
    }

    /// A vendor's module with tokens as `change` wants them.
    pub(crate) fn module(&self, name: &str, change: impl FnOnce(&mut Faults)) -> Vendor {
        let token = FaultyToken::new(self.path(name)).expect("a token");
        let steered = token.set(|faults| {
            faults.defaults.user.pin = Some(PIN.to_owned());
            change(faults);
        });
        steered.expect("steered");
        let path = token.install().expect("built with this test");
        Vendor { token, path }
    }

    /// A configuration: a device as the source, which is there on every machine, and `text` behind
    /// it.
    pub(crate) fn config(&self, text: &str) -> PathBuf {
        let sources = "sources: [{name: card, type: device, path: /dev/urandom}]\n";
        self.config_with(sources, text)
    }

    pub(crate) fn config_with(&self, sources: &str, text: &str) -> PathBuf {
        let state = self.state().display().to_string();
        self.write("qseed.yml", &format!("{sources}{text}state_dir: {state}\n"))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// `qseed check` with this configuration.
    pub(crate) fn check(&self, more: &[&str]) -> Ran {
        self.command("check", more)
    }

    pub(crate) fn command(&self, name: &str, more: &[&str]) -> Ran {
        Ran::of(self.prepared(&mut qseed(), name, more))
    }

    pub(crate) fn prepared<'a>(
        &self,
        command: &'a mut Command,
        name: &str,
        more: &[&str],
    ) -> &'a mut Command {
        let config = self.path("qseed.yml");
        command.arg(name).arg("--config").arg(config).args(more)
    }

    /// Lets everybody reach what is in the folder.
    pub(crate) fn open_to_all(&self) {
        mode(self.folder.path(), 0o755);
    }
}

/// A module and what steers it.
pub(crate) struct Vendor {
    pub(crate) token: FaultyToken,
    pub(crate) path: PathBuf,
}

impl Vendor {
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// How many PINs were presented to its tokens.
    pub(crate) fn logins(&self) -> usize {
        self.token.logins().expect("a record").len()
    }

    /// The lengths of the seeds that its tokens mixed in.
    pub(crate) fn seeds(&self) -> Vec<usize> {
        let calls = self.token.seeds().expect("a record").into_iter();
        let mixed_in = calls.filter(qseed_faulty_token::Call::succeeded);
        mixed_in
            .map(|call| call.seed.expect("a seed").len())
            .collect()
    }
}

pub(crate) fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// A simulated service that wants [`TOKEN`].
pub(crate) fn service(options: Options) -> EntropyService {
    EntropyService::spawn(options.token(TOKEN)).expect("a service")
}
