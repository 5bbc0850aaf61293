//! The list of entropy sources.

use std::time::Duration;

use qseed_model::Rate;

use crate::report::{Findings, Reading};
use crate::section::{Field, Section};
use crate::source::{Budget, Source, SourceKind};
use crate::yaml::Node;

use super::http;
use super::names::Names;

/// Qrypt's documented limit on one token.
pub(super) const QRYPT_RATE: Rate = Rate {
    requests: 30,
    per: Duration::from_secs(10),
};

const PEBIBYTE: u64 = 1 << 50;

/// The keys of any type of source.
const COMMON_KEYS: [&str; 5] = ["name", "rate_limit", "budget", "startup_bytes", "type"];

const KNOWN_KEYS: [&str; 12] = [
    "name",
    "type",
    "url",
    "access_token",
    "auth",
    "tls",
    "timeout",
    "insecure_http",
    "path",
    "rate_limit",
    "budget",
    "startup_bytes",
];

/// A source's type as written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Qrypt,
    QryptKib,
    QrngOpenApi,
    Device,
}

impl Type {
    const ALL: [Self; 4] = [Self::Qrypt, Self::QryptKib, Self::QrngOpenApi, Self::Device];

    fn word(self) -> &'static str {
        match self {
            Self::Qrypt => "qrypt",
            Self::QryptKib => "qrypt-kib",
            Self::QrngOpenApi => "qrng-open-api",
            Self::Device => "device",
        }
    }

    /// The keys beside the common ones.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Qrypt | Self::QryptKib => {
                &["url", "access_token", "tls", "timeout", "insecure_http"]
            }
            Self::QrngOpenApi => &[
                "url",
                "access_token",
                "auth",
                "tls",
                "timeout",
                "insecure_http",
            ],
            Self::Device => &["path", "timeout"],
        }
    }

    fn default_rate_limit(self) -> Option<Rate> {
        match self {
            Self::Qrypt | Self::QryptKib => Some(QRYPT_RATE),
            Self::QrngOpenApi | Self::Device => None,
        }
    }
}

pub(super) fn read(field: Field<'_>, findings: &mut Findings) -> Reading<Vec<Source>> {
    let items = field.list(findings)?;
    if items.is_empty() {
        return Err(findings.fault_with_help(
            field.place,
            "`sources` is empty",
            "list at least one entropy source",
        ));
    }
    let mut names = Names::default();
    let sources: Vec<Reading<Source>> = items
        .iter()
        .map(|item| source(item, &mut names, findings))
        .collect();
    sources.into_iter().collect()
}

fn source(item: &Node, names: &mut Names, findings: &mut Findings) -> Reading<Source> {
    let section = Section::open(item, "a source", &KNOWN_KEYS, findings)?;
    let name = section
        .require("name", "give each source a name", findings)
        .and_then(|field| names.read(field, "source", findings));
    let kind = section
        .require(
            "type",
            "write qrypt, qrypt-kib, qrng-open-api or device",
            findings,
        )
        .and_then(|field| field.choice(&Type::ALL.map(|kind| (kind.word(), kind)), findings));
    let rate = section
        .get("rate_limit")
        .map(|field| rate_limit(field, findings))
        .transpose();
    let budget = section
        .get("budget")
        .map(|field| budget(field, findings))
        .transpose();
    let startup = section.get("startup_bytes").map_or(Ok(0), |field| {
        field.bytes(0..=1 << 20, "0 to 1MiB", findings)
    });
    // Without its type, the other keys cannot be judged.
    let kind = kind?;
    refuse_foreign_keys(&section, kind, findings);
    let described = describe(&section, kind, findings);
    Ok(Source {
        name: name?,
        kind: described?,
        rate_limit: rate?.or(kind.default_rate_limit()),
        budget: budget?,
        startup_bytes: startup?,
    })
}

fn describe(section: &Section<'_>, kind: Type, findings: &mut Findings) -> Reading<SourceKind> {
    match kind {
        Type::Qrypt => http::qrypt(section, findings).map(|http| SourceKind::Qrypt { http }),
        Type::QryptKib => http::qrypt(section, findings).map(|http| SourceKind::QryptKib { http }),
        Type::QrngOpenApi => http::open_api(section, findings)
            .map(|(http, auth)| SourceKind::QrngOpenApi { http, auth }),
        Type::Device => {
            let path = section
                .require(
                    "path",
                    "write the device's path, such as /dev/qrandom0",
                    findings,
                )
                .and_then(|field| field.path(findings));
            let timeout = http::timeout(section, findings);
            Ok(SourceKind::Device {
                path: path?,
                timeout: timeout?,
            })
        }
    }
}

fn refuse_foreign_keys(section: &Section<'_>, kind: Type, findings: &mut Findings) {
    for field in section.present(&KNOWN_KEYS) {
        if COMMON_KEYS.contains(&field.key) || kind.keys().contains(&field.key) {
            continue;
        }
        let message = format!("`{}` does not go with `type: {}`", field.key, kind.word());
        let help = match (field.key, kind) {
            ("auth", Type::Qrypt | Type::QryptKib) => "this type always uses a bearer token",
            _ => "take the key out or change the type",
        };
        findings.fault_with_help(field.place, message, help);
    }
}

fn rate_limit(field: Field<'_>, findings: &mut Findings) -> Reading<Rate> {
    let text = field.text(findings)?;
    let help = "write requests / time, such as 30/10s; the time is 1s to 1d";
    let Ok((requests, per)) = crate::quantity::rate(text) else {
        return field.refuse(text, "is not a rate", help, findings);
    };
    match u32::try_from(requests) {
        Ok(requests) if requests > 0 && (1..=86_400).contains(&per.as_secs()) => {
            Ok(Rate { requests, per })
        }
        _ => field.refuse(text, "is out of range", help, findings),
    }
}

fn budget(field: Field<'_>, findings: &mut Findings) -> Reading<Budget> {
    let section = field.section(&["bytes", "resets_on"], findings)?;
    let bytes = section
        .require(
            "bytes",
            "say how many bytes a month, such as 100MiB",
            findings,
        )
        .and_then(|field| field.bytes(1..=PEBIBYTE, "1 to 1024TiB", findings));
    let resets_on = section.get("resets_on").map_or(Ok(1), |field| {
        field.number(1..=28, "write a day of the month from 1 to 28", findings)
    });
    Ok(Budget {
        bytes: bytes?,
        resets_on: resets_on?,
    })
}
