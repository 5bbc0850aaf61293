//! A clock of a daemon's own, by `libfaketime`.

use std::path::PathBuf;
use std::process::Command;

use super::site::Site;
use qseed_real_tokens::need;

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The wall clock of one process: the host's, set wrong by so much.
pub struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// A clock that is right.
    pub fn new(site: &Site) -> Self {
        need(LIBRARY, "libfaketime");
        let file = site.path("clock");
        let clock = Self { file };
        clock.set("+0");
        clock
    }

    /// Sets it: `+10y`, `-3d`, from the host's clock.
    pub fn set(&self, offset: &str) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, offset).expect("written");
        std::fs::rename(&beside, &self.file).expect("renamed");
    }

    /// Gives it to a process. The monotonic clock stays as it is.
    pub fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", LIBRARY)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
}
