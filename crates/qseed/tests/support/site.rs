//! A folder with everything that a qseed needs, and nothing of the machine's.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use qseed_entropy_service::EntropyService;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ACCESS_TOKEN;
use super::daemon::{Ended, QSEED, Qseed, qseed, run, untouched};

/// A folder of a test's own: configuration, secrets, state directory.
pub struct Site {
    folder: TempDir,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("qseed-").tempdir();
        Self {
            folder: folder.expect("a folder"),
        }
    }

    /// The same where an installed qseed has its files.
    pub fn installed() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("qseed-test-")
            .tempdir_in("/var/lib");
        Self {
            folder: folder.expect("the tests run as root"),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    pub fn config_path(&self) -> PathBuf {
        self.path("qseed_config.yml")
    }

    /// Writes a file that only its owner reads, in one step, and returns its path.
    pub fn write_secret(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let beside = self.path(&format!("{name}.new"));
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside);
        file.expect("made")
            .write_all(content.as_ref())
            .expect("written");
        fs::rename(&beside, &path).expect("renamed");
        path
    }

    /// Writes the configuration as text.
    pub fn configure(&self, text: &str) {
        self.write_secret("qseed_config.yml", text);
    }

    /// Writes the configuration: JSON is YAML as well.
    pub fn configure_full(&self, config: &Value) {
        self.configure(&serde_json::to_string_pretty(config).expect("plain values"));
    }

    /// A configuration in the full form: a source named `sim` that is `service`, these partitions,
    /// a log in JSON, everything of qseed's own in this folder.
    pub fn full(&self, service: &EntropyService, partitions: &Value) -> Value {
        json!({
            "sources": [source(service)],
            "partitions": partitions,
            "state_dir": self.state_dir(),
            "control_socket": self.path("control.sock"),
            "log": { "format": "json" },
        })
    }

    /// `qseed run` with this site's configuration.
    pub fn command(&self) -> Command {
        let mut command = qseed();
        command.arg("run").arg("--config").arg(self.config_path());
        command
    }

    pub fn start(&self) -> Qseed {
        Qseed::start(&mut self.command())
    }

    /// Starts qseed as process number one of a namespace, as in a container. What is returned is
    /// `unshare`, which waits for it.
    pub fn start_as_process_number_one(&self) -> Qseed {
        let mut unshare = Command::new("unshare");
        untouched(&mut unshare);
        unshare
            .args(["--map-root-user", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "--", QSEED, "run", "--config"])
            .arg(self.config_path());
        Qseed::start(&mut unshare)
    }

    /// `qseed run --once`, to its end.
    pub fn once(&self) -> Ended {
        run(self.command().arg("--once"))
    }
}

/// A service as a source named `sim`, with a time-out of a second and without a rate limit to
/// speak of.
pub fn source(service: &EntropyService) -> Value {
    json!({
        "name": "sim",
        "type": "qrypt",
        "url": service.url(),
        "access_token": ACCESS_TOKEN,
        "timeout": "1s",
        "rate_limit": "10000/10s",
        "tls": { "ca": service.ca_path() },
    })
}
