//! Real software tokens: `SoftHSM`, with `pkcs11-spy` in front where wanted, and NSS.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::spy::SpyLog;
use super::{need, set_up};

pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
pub const SOFTOKN: &str = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so";

/// A folder with `SoftHSM` tokens and a spy's log. The user's PIN is `1234`, the security
/// officer's `87654321`.
pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
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

    pub fn conf(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn util(&self) -> Command {
        let mut command = Command::new("softhsm2-util");
        command.env("SOFTHSM2_CONF", self.conf());
        command
    }

    /// Makes a token and returns its slot id.
    pub fn add_token(&self, label: &str) -> u64 {
        let said = set_up(
            self.util()
                .args(["--init-token", "--free", "--label", label])
                .args(["--so-pin", "87654321", "--pin", "1234"]),
            "softhsm2",
        );
        let slot = said
            .split_whitespace()
            .last()
            .and_then(|word| word.parse().ok());
        slot.unwrap_or_else(|| panic!("no slot in {said:?}"))
    }

    pub fn delete_token(&self, label: &str) {
        set_up(
            self.util().args(["--delete-token", "--token", label]),
            "softhsm2",
        );
    }

    /// The variables by which `SoftHSM` and a spy in front of it find what is theirs.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("SOFTHSM2_CONF", self.conf()),
            ("PKCS11SPY", PathBuf::from(SOFTHSM)),
            ("PKCS11SPY_OUTPUT", self.folder.path().join("spy.log")),
        ]
    }

    /// The same as a module's `environment`.
    pub fn environment_json(&self) -> Value {
        let pairs = self.environment();
        pairs
            .map(|(name, path)| (name.to_owned(), json!(path)))
            .into_iter()
            .collect()
    }

    /// The calls that reached `SoftHSM` through the spy.
    pub fn spy_log(&self) -> SpyLog {
        let text = std::fs::read(self.folder.path().join("spy.log")).expect("a spy's log");
        SpyLog(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Makes an NSS database whose password is `secret`; returns the library's parameters.
pub fn nss_database(folder: &Path) -> String {
    need(SOFTOKN, "libnss3");
    let password = folder.join("nss-password");
    std::fs::write(&password, "secret\n").expect("written");
    let database = format!("sql:{}", folder.display());
    let mut certutil = Command::new("certutil");
    set_up(
        certutil.args(["-N", "-d", &database, "-f"]).arg(&password),
        "libnss3-tools",
    );
    format!("configdir='{database}' certPrefix='' keyPrefix='' secmod='secmod.db'")
}
