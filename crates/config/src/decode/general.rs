//! The settings that both forms of the file have.

use std::net::SocketAddr;
use std::path::PathBuf;

use qseed_model::Reserve;

use crate::config::{Audit, Level, Log, LogFormat, Seeds};
use crate::partition::Module;
use crate::report::{Findings, Place, Reading};
use crate::section::{Field, Section};

use super::modules;

const DAY: u64 = 86_400;

/// The longest path of a Unix socket: `sun_path` less its closing NUL.
const MAX_SOCKET_PATH: usize = 107;

/// The settings that both forms have.
pub(super) struct General {
    pub(super) reserve: Option<Reserve>,
    pub(super) mix_local: bool,
    pub(super) modules: Vec<(Place, Module)>,
    pub(super) state_dir: PathBuf,
    pub(super) audit: Option<Audit>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) control_socket: PathBuf,
    pub(super) log: Log,
}

pub(super) fn read(file: &Section<'_>, findings: &mut Findings) -> Reading<General> {
    let reserve = file
        .get("reserve")
        .map(|field| reserve(field, findings))
        .transpose();
    let mix_local = file
        .get("mix_local")
        .map_or(Ok(false), |field| field.boolean(findings));
    let modules = file
        .get("modules")
        .map_or(Ok(Vec::new()), |field| modules::read(field, findings));
    let state_dir = file.get("state_dir").map_or_else(
        || Ok(from_service_manager("STATE_DIRECTORY", "/var/lib/qseed")),
        |field| field.path(findings),
    );
    let audit = file
        .get("audit")
        .map(|field| audit(field, findings))
        .transpose();
    let listen = file
        .get("listen")
        .map(|field| listen(field, findings))
        .transpose();
    let control_socket = file.get("control_socket").map_or_else(
        || Ok(from_service_manager("RUNTIME_DIRECTORY", "/run/qseed").join("control.sock")),
        |field| socket(field, findings),
    );
    let log = file
        .get("log")
        .map_or_else(|| Ok(Log::default()), |field| log(field, findings));
    Ok(General {
        reserve: reserve?,
        mix_local: mix_local?,
        modules: modules?,
        state_dir: state_dir?,
        audit: audit?,
        listen: listen?,
        control_socket: control_socket?,
        log: log?,
    })
}

/// The folder that the service manager made for qseed, the first of several; else the usual one.
fn from_service_manager(variable: &str, usual: &str) -> PathBuf {
    let folders = std::env::var_os(variable).unwrap_or_default();
    let first = std::env::split_paths(&folders).next();
    first
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| usual.into())
}

fn reserve(field: Field<'_>, findings: &mut Findings) -> Reading<Reserve> {
    let section = field.section(&["cover", "max_age"], findings)?;
    let cover = section
        .require(
            "cover",
            "say how long an outage it shall cover, such as 10m",
            findings,
        )
        .and_then(|field| field.duration(1..=7 * DAY, "1s to 7d", findings));
    let age_field = section.get("max_age");
    let max_age = age_field
        .map(|field| field.duration(1..=365 * DAY, "1s to 365d", findings))
        .transpose();
    let (cover, max_age) = (cover?, max_age?);
    let max_age = max_age.unwrap_or(cover.max(std::time::Duration::from_secs(3_600)));
    if max_age < cover {
        return Err(findings.fault_with_help(
            age_field.map_or(field.place, |field| field.node.place),
            "`max_age` is shorter than `cover`: entropy would be wiped before an outage is over",
            "give max_age at least the time of cover",
        ));
    }
    Ok(Reserve { cover, max_age })
}

fn audit(field: Field<'_>, findings: &mut Findings) -> Reading<Audit> {
    let section = field.section(&["file", "signing_key"], findings)?;
    let file = section.get("file").map_or_else(
        || Ok(PathBuf::from("audit.jsonl")),
        // The state directory is where it counts from.
        |field| field.path_as_written(findings),
    );
    let signing_key = section
        .get("signing_key")
        .map(|field| field.secret(findings))
        .transpose();
    Ok(Audit {
        file: file?,
        signing_key: signing_key?,
    })
}

fn listen(field: Field<'_>, findings: &mut Findings) -> Reading<SocketAddr> {
    let text = field.text(findings)?;
    let help = "write address and port, such as 127.0.0.1:9464 or [::1]:9464; leave the key out for no listener";
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => field.refuse(text, "is not an address with a port", help, findings),
    }
}

fn socket(field: Field<'_>, findings: &mut Findings) -> Reading<PathBuf> {
    let path = field.path(findings)?;
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let why = "the path is too long for a socket";
        return field.refuse_unshown(why, Some("the system takes 107 bytes"), findings);
    }
    Ok(path)
}

fn log(field: Field<'_>, findings: &mut Findings) -> Reading<Log> {
    let section = field.section(&["format", "level", "seeds"], findings)?;
    let default = Log::default();
    let format = section.get("format").map_or(Ok(default.format), |field| {
        field.choice(
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            findings,
        )
    });
    let level = section.get("level").map_or(Ok(default.level), |field| {
        let words = [
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
        ];
        field.choice(&words, findings)
    });
    let seeds = section
        .get("seeds")
        .map(|field| {
            field.choice(
                &[("each", Seeds::Each), ("summary", Seeds::Summary)],
                findings,
            )
        })
        .transpose();
    Ok(Log {
        format: format?,
        level: level?,
        seeds: seeds?,
    })
}
