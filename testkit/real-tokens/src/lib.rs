//! Software tokens from Debian packages, set up for tests: `SoftHSM` with `pkcs11-spy` in front, and NSS.
//!
//! What goes wrong here is a machine that lacks a package, so everything panics and names the package.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "for tests: what fails here panics"
)]

mod softhsm;
mod spy;

use std::path::Path;
use std::process::Command;

pub use softhsm::SoftHsm;
pub use spy::SpyLog;

/// `SoftHSM`'s library.
pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// A library that passes all calls on to the one that `$PKCS11SPY` names, and logs them.
pub const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
/// NSS's library.
pub const SOFTOKN: &str = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so";

/// Panics if `file`, from the Debian package `package`, is missing.
pub fn need(file: &str, package: &str) {
    let there = Path::new(file).exists();
    assert!(there, "{file} is missing: apt-get install {package}");
}

/// Runs a program of the Debian package `package` and returns its standard output; panics if it fails.
pub fn set_up(command: &mut Command, package: &str) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}: apt-get install {package}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes an NSS database in `folder` with the password `secret`; returns the library's parameters
/// for `C_Initialize`.
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
