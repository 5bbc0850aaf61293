//! The list of entropy sources.

use std::time::Duration;

use qseed_model::Rate;

use crate::keys;
use crate::quantity;
use crate::report::{Findings, Reading};
use crate::section::{Field, Section};
use crate::source::{Budget, Source, SourceKind};
use crate::yaml::Node;

use super::http;
use super::unique::Unique;

/// Qrypt's documented limit on one token.
pub(super) const QRYPT_RATE: Rate = Rate {
    requests: 30,
    per: Duration::from_secs(10),
};

const PEBIBYTE: u64 = 1 << 50;

/// A type of source.
struct Type {
    word: &'static str,
    /// Its keys beside those of any source.
    keys: &'static [&'static str],
    rate_limit: Option<Rate>,
    read: fn(&Section<'_>) -> Reading<SourceKind>,
}

const TYPES: [Type; 4] = [
    Type {
        word: "qrypt",
        keys: keys::QRYPT,
        rate_limit: Some(QRYPT_RATE),
        read: |section| http::qrypt(section).map(|http| SourceKind::Qrypt { http }),
    },
    Type {
        word: "qrypt-kib",
        keys: keys::QRYPT,
        rate_limit: Some(QRYPT_RATE),
        read: |section| http::qrypt(section).map(|http| SourceKind::QryptKib { http }),
    },
    Type {
        word: "qrng-open-api",
        keys: keys::QRNG_OPEN_API,
        rate_limit: None,
        read: |section| http::open_api(section).map(|http| SourceKind::QrngOpenApi { http }),
    },
    Type {
        word: "device",
        keys: keys::DEVICE,
        rate_limit: None,
        read: device,
    },
];

pub(super) fn read(field: Field<'_>) -> Reading<Vec<Source>> {
    let mut names = Unique::default();
    field.filled_list("list at least one entropy source", |item| {
        source(item, &mut names, field.findings)
    })
}

fn source(item: &Node, names: &mut Unique<String>, findings: &Findings) -> Reading<Source> {
    let section = Section::open(item, "a source", keys::ALL_SOURCES, findings)?;
    let name = section.require("name", "give each source a name", |field| {
        let help = "each has a name of its own";
        names.check(field.name()?, field, "is already the source", help)
    });
    let help = "write qrypt, qrypt-kib, qrng-open-api or device";
    let words = TYPES.each_ref().map(|it| (it.word, it));
    let kind = section.require("type", help, |field| field.choice(&words));
    let rate_limit = section.optional("rate_limit", rate_limit);
    let budget = section.optional("budget", budget);
    let startup = section.or("startup_bytes", 0, |field| {
        field.bytes(0..=1 << 20, "0 to 1MiB")
    });
    // Without its type, which keys it needs is not known.
    let kind = kind.inspect_err(|_| judge_values(&section))?;
    refuse_foreign_keys(&section, kind);
    let described = (kind.read)(&section);
    Ok(Source {
        name: name?,
        kind: described?,
        rate_limit: rate_limit?.or(kind.rate_limit),
        budget: budget?,
        startup_bytes: startup?,
    })
}

/// Notes which values are wrong whatever the source's type.
fn judge_values(section: &Section<'_>) {
    http::judge_values(section);
    let _ = section.optional("path", Field::path);
}

fn device(section: &Section<'_>) -> Reading<SourceKind> {
    let help = "write the device's path, such as /dev/qrandom0";
    let path = section.require("path", help, Field::path);
    let timeout = http::timeout(section);
    Ok(SourceKind::Device {
        path: path?,
        timeout: timeout?,
    })
}

fn refuse_foreign_keys(section: &Section<'_>, kind: &Type) {
    for field in section.present(keys::ALL_SOURCES) {
        if keys::SOURCE.contains(&field.key) || kind.keys.contains(&field.key) {
            continue;
        }
        let message = format!("`{}` does not go with `type: {}`", field.key, kind.word);
        let help = match (field.key, kind.word) {
            ("auth", "qrypt" | "qrypt-kib") => "this type always uses a bearer token",
            _ => "take the key out or change the type",
        };
        section.findings.fault_with_help(field.place, message, help);
    }
}

fn rate_limit(field: Field<'_>) -> Reading<Rate> {
    let help = "write requests / time, such as 30/10s; the time is 1s to 1d";
    let Ok((requests, seconds)) = quantity::rate(field.text()?) else {
        return field.refuse("is not a rate", help);
    };
    match u32::try_from(requests) {
        Ok(requests) if requests > 0 && (1..=86_400).contains(&seconds) => Ok(Rate {
            requests,
            per: Duration::from_secs(seconds),
        }),
        _ => field.refuse("is out of range", help),
    }
}

fn budget(field: Field<'_>) -> Reading<Budget> {
    let section = field.section(keys::BUDGET)?;
    let help = "say how many bytes a month, such as 100MiB";
    let bytes = section.require("bytes", help, |field| {
        field.bytes(1..=PEBIBYTE, "1 to 1024TiB")
    });
    let resets_on = section.or("resets_on", 1, |field| {
        field.number(1..=28, "write a day of the month from 1 to 28")
    });
    Ok(Budget {
        bytes: bytes?,
        resets_on: resets_on?,
    })
}
