//! Debian packages that a task needs in addition to the Rust toolchain.

use std::path::Path;

use tokio::process::Command;

use crate::failure::Failure;
use crate::process::{Stop, run_shown};

/// A package, and a program or file that shows that it is installed.
pub(crate) struct Package {
    name: &'static str,
    gives: &'static str,
}

const fn package(name: &'static str, gives: &'static str) -> Package {
    Package { name, gives }
}

/// Software tokens, for the demo.
pub(crate) const SOFTHSM: &[Package] = &[package("softhsm2", "softhsm2-util")];

/// What `bench` compares with: a client of libcurl's, and the system's authorities.
pub(crate) const BENCH: &[Package] = &[
    package("softhsm2", "softhsm2-util"),
    package("opensc", "pkcs11-tool"),
    package("curl", "curl"),
    package("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
];

/// What the tests use: four kinds of token, a recorder of calls, clocks to set wrong, a check of
/// signatures, faults of system calls, and a compiler for the fuzzer.
pub(crate) const TEST: &[Package] = &[
    package("softhsm2", "softhsm2-util"),
    package("opensc-pkcs11", "/usr/lib/*/pkcs11-spy.so"),
    package("libnss3", "/usr/lib/*/libsoftokn3.so"),
    package("libnss3-tools", "certutil"),
    package("swtpm", "swtpm"),
    package("tpm2-abrmd", "/usr/sbin/tpm2-abrmd"),
    package("dbus-bin", "dbus-send"),
    package("dbus-daemon", "dbus-daemon"),
    package(
        "libtss2-tcti-tabrmd0",
        "/usr/lib/*/libtss2-tcti-tabrmd.so.0",
    ),
    package("libtpm2-pkcs11-1", "/usr/lib/*/libtpm2_pkcs11.so.1"),
    package("libtpm2-pkcs11-tools", "tpm2_ptool"),
    package("opencryptoki", "/usr/sbin/pkcsslotd"),
    package("p11-kit-modules", "/usr/lib/*/p11-kit-proxy.so"),
    package("libfaketime", "/usr/lib/*/faketime/libfaketimeMT.so.1"),
    package("npm", "npm"),
    package("openssl", "openssl"),
    package("util-linux", "unshare"),
    package("strace", "strace"),
    package("g++", "c++"),
];

/// The names of the packages that are missing.
pub(crate) fn missing(packages: &[Package]) -> Vec<&'static str> {
    let missing = packages.iter().filter(|package| !is_there(package.gives));
    missing.map(|package| package.name).collect()
}

/// Installs what is missing, as root. For another user: an error that says what to install.
pub(crate) async fn install(packages: &[Package], stop: &mut Stop) -> Result<(), Failure> {
    let missing_now = missing(packages);
    if missing_now.is_empty() {
        return Ok(());
    }
    let names = missing_now.join(" ");
    let advice = format!("packages are missing: sudo apt-get install {names}");
    if !rustix::process::geteuid().is_root() || !is_there("apt-get") {
        return Err(Failure::said(advice));
    }
    println!("Installing with apt-get: {names}");
    apt_get(&["-qq", "update"], stop).await?;
    let install = ["-qq", "-y", "--no-install-recommends", "install"];
    apt_get(&[&install[..], &missing_now[..]].concat(), stop).await?;
    match missing(packages).as_slice() {
        [] => Ok(()),
        still => Err(Failure::said(format!(
            "apt-get installed these, but what they should bring is not there: {}",
            still.join(" ")
        ))),
    }
}

async fn apt_get(arguments: &[&str], stop: &mut Stop) -> Result<(), Failure> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    // The packages' own chatter is of interest only where something goes wrong.
    command.stdout(std::process::Stdio::null());
    run_shown(&mut command, stop).await
}

/// Whether a program is on the path, or a file is there; `*` stands for one folder.
fn is_there(gives: &str) -> bool {
    if let Some((before, after)) = gives.split_once("/*/") {
        let folders = std::fs::read_dir(before).into_iter().flatten().flatten();
        return folders
            .into_iter()
            .any(|folder| folder.path().join(after).exists());
    }
    if gives.starts_with('/') {
        return Path::new(gives).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(gives).is_file())
}

#[cfg(test)]
mod tests {
    use super::is_there;

    #[test]
    fn programs_and_files_are_found() {
        assert!(is_there("sh"));
        assert!(is_there("/usr/bin/env"));
        assert!(is_there("/usr/*/env"));
        assert!(!is_there("/usr/*/no-such-file"));
        assert!(!is_there("no-such-program"));
    }
}
