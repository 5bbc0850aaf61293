//! `SoftHSM` tokens in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::failure::Failure;
use crate::process::output_of;

/// Where Debian and its kin put the module.
const MODULES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// A folder with tokens.
pub(crate) struct SoftHsm {
    module: &'static str,
    configuration: PathBuf,
}

impl SoftHsm {
    /// Prepares `folder`, which is there and empty.
    pub(crate) fn new(folder: &Path) -> Result<Self, Failure> {
        let module = MODULES.iter().find(|module| Path::new(module).exists());
        let module = module.ok_or_else(|| {
            Failure::said("libsofthsm2.so is missing: sudo apt-get install softhsm2")
        })?;
        let configuration = folder.join("softhsm2.conf");
        let tokens = folder.join("tokens");
        let text = format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::create_dir_all(&tokens)
            .and_then(|()| fs::write(&configuration, text))
            .map_err(Failure::io(folder.display().to_string()))?;
        Ok(Self {
            module,
            configuration,
        })
    }

    /// The shared library.
    pub(crate) fn module(&self) -> &'static str {
        self.module
    }

    /// `SoftHSM`'s own configuration, for `$SOFTHSM2_CONF`.
    pub(crate) fn configuration(&self) -> &Path {
        &self.configuration
    }

    /// Makes a token and gives the slot that it is in.
    pub(crate) async fn add(&self, label: &str, pin: &str) -> Result<u64, Failure> {
        let mut command = Command::new("softhsm2-util");
        command
            .env("SOFTHSM2_CONF", &self.configuration)
            .args(["--init-token", "--free", "--label", label])
            .args(["--so-pin", "87654321", "--pin", pin]);
        let said = output_of(&mut command).await?;
        // "The token has been initialized and is reassigned to slot 824959035"
        let slot = said
            .split_whitespace()
            .last()
            .and_then(|word| word.parse().ok());
        slot.ok_or_else(|| Failure::said(format!("softhsm2-util names no slot: {said}")))
    }
}
