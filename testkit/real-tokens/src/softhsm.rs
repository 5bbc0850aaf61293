//! `SoftHSM` tokens in a folder of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::spy::SpyLog;
use crate::{SOFTHSM, SPY, need, set_up};

/// The user's PIN where a test does not care.
const USER_PIN: &str = "1234";

/// A folder with `SoftHSM` tokens and a spy's log. The user's PIN is `1234`, the security
/// officer's `87654321`.
pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
    /// A folder without tokens.
    #[expect(clippy::new_without_default, reason = "it writes to the disk")]
    pub fn new() -> Self {
        need(SOFTHSM, "softhsm2");
        need(SPY, "opensc-pkcs11");
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = folder.path().join("tokens");
        std::fs::create_dir(&tokens).expect("made");
        let content = format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        );
        std::fs::write(folder.path().join("softhsm2.conf"), content).expect("written");
        Self { folder }
    }

    /// A folder with tokens of these labels.
    pub fn with_tokens(labels: &[&str]) -> Self {
        let hsm = Self::new();
        for label in labels {
            hsm.add_token(label);
        }
        hsm
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `SoftHSM`'s own configuration, for `$SOFTHSM2_CONF`.
    pub fn conf(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn util(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("softhsm2-util");
        command.env("SOFTHSM2_CONF", self.conf()).args(arguments);
        set_up(&mut command, "softhsm2")
    }

    /// Makes a token and returns its slot id.
    pub fn add_token(&self, label: &str) -> u64 {
        self.add_token_with_pin(label, USER_PIN)
    }

    /// Makes a token whose user has this PIN, and returns its slot id.
    pub fn add_token_with_pin(&self, label: &str, pin: &str) -> u64 {
        let said = self.initialise(&["--free", "--label", label], pin);
        let slot = said
            .split_whitespace()
            .last()
            .and_then(|word| word.parse().ok());
        slot.unwrap_or_else(|| panic!("no slot in {said:?}"))
    }

    /// Initialises the token `label` again, under another label.
    pub fn reinitialise_token(&self, label: &str, new_label: &str) {
        self.initialise(&["--token", label, "--label", new_label], USER_PIN);
    }

    fn initialise(&self, arguments: &[&str], pin: &str) -> String {
        let pins = ["--so-pin", "87654321", "--pin", pin];
        self.util(&[&["--init-token"], arguments, &pins].concat())
    }

    /// Deletes the token `label`.
    pub fn delete_token(&self, label: &str) {
        self.util(&["--delete-token", "--token", label]);
    }

    /// The variables that `SoftHSM`, and a spy in front of it, read.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let path = |name| self.folder.path().join(name).display().to_string();
        BTreeMap::from([
            ("SOFTHSM2_CONF".to_owned(), path("softhsm2.conf")),
            ("PKCS11SPY".to_owned(), SOFTHSM.to_owned()),
            ("PKCS11SPY_OUTPUT".to_owned(), path("spy.log")),
        ])
    }

    /// The calls that reached `SoftHSM` through the spy.
    pub fn spy_log(&self) -> SpyLog {
        let text = std::fs::read(self.folder.path().join("spy.log")).expect("a spy's log");
        SpyLog::new(&text)
    }
}
