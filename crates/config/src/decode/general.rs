//! The settings that both forms of the file have.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use qseed_model::Reserve;

use crate::config::{Level, Log, LogFormat, Seeds};
use crate::keys;
use crate::report::Reading;
use crate::section::Field;

const DAY: u64 = 86_400;

/// The longest path of a Unix socket: `sun_path` less its closing NUL.
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn default_state_dir() -> PathBuf {
    from_service_manager("STATE_DIRECTORY", "/var/lib/qseed")
}

pub(super) fn default_socket() -> PathBuf {
    from_service_manager("RUNTIME_DIRECTORY", "/run/qseed").join("control.sock")
}

/// The folder that the service manager made for qseed, the first of several; else the usual one.
fn from_service_manager(variable: &str, usual: &str) -> PathBuf {
    let folders = std::env::var_os(variable).unwrap_or_default();
    let first = std::env::split_paths(&folders).next();
    let folder = first.filter(|path| path.is_absolute());
    folder.unwrap_or_else(|| usual.into())
}

pub(super) fn reserve(field: Field<'_>) -> Reading<Reserve> {
    let section = field.section(keys::RESERVE)?;
    let help = "say how long an outage it should cover, such as 10m";
    let cover = section.require("cover", help, |field| {
        field.duration(1..=7 * DAY, "1s to 7d")
    });
    let max_age = section.optional("max_age", |field| {
        field.duration(1..=365 * DAY, "1s to 365d")
    });
    let (cover, max_age) = (cover?, max_age?);
    let max_age = max_age.unwrap_or(cover.max(Duration::from_secs(3_600)));
    if max_age < cover {
        let place = section
            .get("max_age")
            .map_or(field.place, |it| it.node.place);
        return Err(field.findings.fault_with_help(
            place,
            "`max_age` is shorter than `cover`: entropy would be wiped before an outage is over",
            "give max_age at least the time of cover",
        ));
    }
    Ok(Reserve { cover, max_age })
}

pub(super) fn listen(field: Field<'_>) -> Reading<SocketAddr> {
    let help = "write address and port, such as 127.0.0.1:9464 or [::1]:9464; leave the key out for no listener";
    let address = field.text()?.parse();
    address.or_else(|_| field.refuse("is not an address with a port", help))
}

pub(super) fn socket(field: Field<'_>) -> Reading<PathBuf> {
    let path = field.path()?;
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let why = "the path is too long for a socket";
        return field.refuse_unshown(why, Some("the system takes 107 bytes"));
    }
    Ok(path)
}

pub(super) fn log(field: Field<'_>) -> Reading<Log> {
    let section = field.section(keys::LOG)?;
    let default = Log::default();
    let format = section.or("format", default.format, |field| {
        field.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
    });
    let level = section.or("level", default.level, |field| {
        field.choice(&[
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
        ])
    });
    let seeds = section.optional("seeds", |field| {
        field.choice(&[("each", Seeds::Each), ("summary", Seeds::Summary)])
    });
    Ok(Log {
        format: format?,
        level: level?,
        seeds: seeds?,
    })
}
