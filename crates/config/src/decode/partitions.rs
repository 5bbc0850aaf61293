//! The list of partitions and what `defaults` gives all of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use qseed_model::Login;
use qseed_secrets::SecretRef;

use crate::partition::{Partition, Pin};
use crate::quantity;
use crate::report::{Findings, Noted, Reading};
use crate::section::{Field, Section};
use crate::yaml::Node;

use super::names::Names;
use super::token::{self, Token, Told};

/// Bytes of a seed: what is recommended for Thales Luna 7, and the seed length of a `CTR_DRBG` with
/// AES-256 (SP 800-90A, table 3).
pub(super) const DEFAULT_SIZE: usize = 48;
const DEFAULT_PERIOD: Duration = Duration::from_secs(10);

const MAX_SIZE: u64 = 65_536;
const YEAR: u64 = 31_536_000;

/// `CKU_VENDOR_DEFINED` to the end of what the PKCS#11 crates can carry.
const VENDOR_LOGINS: std::ops::RangeInclusive<u32> = 0x8000_0000..=u32::MAX;

const KNOWN_KEYS: [&str; 9] = [
    "name", "module", "token", "slot", "login", "pin", "size", "period", "chunk",
];
const SHARED_KEYS: [&str; 6] = ["module", "login", "pin", "size", "period", "chunk"];

/// Settings that partitions share.
struct Shared {
    module: Reading<Option<PathBuf>>,
    login: Reading<Option<Login>>,
    pin: Reading<Option<SecretRef>>,
    size: Reading<Option<usize>>,
    period: Reading<Option<Duration>>,
    chunk: Reading<Option<usize>>,
}

impl Shared {
    fn read(section: &Section<'_>, findings: &mut Findings) -> Self {
        let field = |key| section.get(key);
        Self {
            module: field("module")
                .map(|field| field.module(findings))
                .transpose(),
            login: field("login")
                .map(|field| login(field, findings))
                .transpose(),
            pin: field("pin").map(|field| field.secret(findings)).transpose(),
            size: field("size").map(|field| size(field, findings)).transpose(),
            period: field("period")
                .map(|field| period(field, findings))
                .transpose(),
            chunk: field("chunk")
                .map(|field| size(field, findings))
                .transpose(),
        }
    }

    /// What follows a fault that hides them all.
    fn faulty(noted: Noted) -> Self {
        Self {
            module: Err(noted),
            login: Err(noted),
            pin: Err(noted),
            size: Err(noted),
            period: Err(noted),
            chunk: Err(noted),
        }
    }
}

/// What `defaults` gives to every partition that says nothing else.
pub(super) struct Defaults(Shared);

pub(super) fn defaults(field: Option<Field<'_>>, findings: &mut Findings) -> Defaults {
    let section = field.map_or(Ok(Section::absent()), |field| {
        field.section(&SHARED_KEYS, findings)
    });
    Defaults(section.map_or_else(Shared::faulty, |section| Shared::read(&section, findings)))
}

pub(super) fn read(
    field: Field<'_>,
    Defaults(defaults): &Defaults,
    findings: &mut Findings,
) -> Reading<Vec<Partition>> {
    let items = field.list(findings)?;
    if items.is_empty() {
        return Err(findings.fault_with_help(
            field.place,
            "`partitions` is empty",
            "list at least one partition",
        ));
    }
    let mut names = Names::default();
    let partitions: Vec<Reading<Partition>> = items
        .iter()
        .map(|item| partition(item, defaults, &mut names, findings))
        .collect();
    partitions.into_iter().collect()
}

fn partition(
    item: &Node,
    defaults: &Shared,
    names: &mut Names,
    findings: &mut Findings,
) -> Reading<Partition> {
    let section = Section::open(item, "a partition", &KNOWN_KEYS, findings)?;
    let name = section
        .require("name", "give each partition a name", findings)
        .and_then(|field| names.read(field, "partition", findings));
    let own = Shared::read(&section, findings);
    let Token { choice, told } = token::read(&section, findings);
    let told = told.as_ref().map_err(|noted| *noted);
    let module = module(&section, &own, defaults, told, findings);
    let access = access(&section, &own, defaults, told, findings);
    let (login, pin) = access?;
    Ok(Partition {
        name: name?,
        module: module?,
        token: choice?,
        login,
        pin,
        size: own.size?.or(defaults.size?).unwrap_or(DEFAULT_SIZE),
        period: own.period?.or(defaults.period?).unwrap_or(DEFAULT_PERIOD),
        chunk: own.chunk?.or(defaults.chunk?),
        position: section.place,
    })
}

/// The module: the partition's own, else the URI's, else the default one.
fn module(
    section: &Section<'_>,
    own: &Shared,
    defaults: &Shared,
    told: Reading<&Told>,
    findings: &mut Findings,
) -> Reading<PathBuf> {
    let (own, told) = (own.module.clone()?, told?);
    let module = match (own, told.module_path.clone()) {
        (Some(own), Some(in_uri)) if own != in_uri => {
            return Err(findings.fault_with_help(
                section.place_of("module"),
                "`module` contradicts module-path in the token's URI",
                "keep one of the two",
            ));
        }
        (Some(module), _) | (None, Some(module)) => module,
        (None, None) => defaults.module.clone()?.ok_or_else(|| {
            let help = if told.module_name.is_some() {
                "module-name in the token's URI does not say where the library is: write its path \
                 here, into `defaults`, or as module-path into the URI"
            } else {
                "write the path of the vendor's PKCS#11 library here or into `defaults`"
            };
            section.missing("module", help, findings)
        })?,
    };
    match &told.module_name {
        Some(name) if name_of(&module) != Some(name) => Err(findings.fault_with_help(
            section.place_of("token"),
            "module-name in the token's URI contradicts the partition's module",
            "write the library's name without `lib` and `.so`, or leave module-name out",
        )),
        _ => Ok(module),
    }
}

/// A library's name as RFC 7512 has it: without the prefix `lib` and the suffix.
fn name_of(module: &Path) -> Option<&str> {
    let file = module.file_name()?.to_str()?;
    let name = file.strip_prefix("lib").unwrap_or(file);
    Some(name.split_once(".so").map_or(name, |(name, _)| name))
}

/// Login and PIN, which must fit each other. What the partition says itself stands above
/// `defaults`: a default PIN contradicts neither a URI's PIN nor a login without one.
fn access(
    section: &Section<'_>,
    own: &Shared,
    defaults: &Shared,
    told: Reading<&Told>,
    findings: &mut Findings,
) -> Reading<(Login, Pin)> {
    let in_uri = told?.pin.clone();
    let own_pin = own.pin.clone()?;
    if own_pin.is_some() && in_uri.is_some() {
        return Err(findings.fault_with_help(
            section.place_of("pin"),
            "`pin` contradicts pin-value or pin-source in the token's URI",
            "keep one of the two",
        ));
    }
    let own_pin = own_pin.or(in_uri);
    let own_login = own.login?;
    let login = match own_login {
        Some(login) => login,
        None => defaults.login?.unwrap_or(Login::User),
    };
    if login.needs_pin() {
        let pin = match own_pin {
            Some(pin) => pin,
            None => defaults.pin.clone()?.ok_or_else(|| {
                let help = "write file:PATH, or `login: none` or `login: protected` (PIN pad, PED)";
                section.missing("pin", help, findings)
            })?,
        };
        return Ok((login, Pin::Given(pin)));
    }
    let only_defaults = own_login.is_none() && matches!(defaults.pin, Ok(Some(_)));
    if own_pin.is_some() || only_defaults {
        return Err(findings.fault_with_help(
            section.place_of("pin"),
            "a PIN contradicts `login: none` and `login: protected`",
            "take the PIN out, or write `login: user`",
        ));
    }
    Ok((login, Pin::Absent))
}

fn login(field: Field<'_>, findings: &mut Findings) -> Reading<Login> {
    let text = field.text(findings)?;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let help = "a vendor's user type is a number from 0x80000000 to 0xffffffff";
        let number = quantity::decimal_or_hex(text).ok();
        return match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if VENDOR_LOGINS.contains(&number) => Ok(Login::Vendor(number)),
            _ => field.refuse(text, "is not a login", help, findings),
        };
    }
    let words = [
        ("user", Login::User),
        ("so", Login::So),
        ("none", Login::None),
        ("protected", Login::Protected),
    ];
    field.choice(&words, findings)
}

/// Bytes of a seed or of one call.
pub(super) fn size(field: Field<'_>, findings: &mut Findings) -> Reading<usize> {
    field.number(
        1..=MAX_SIZE,
        "write a whole number of bytes from 1 to 65536",
        findings,
    )
}

/// The time from one seed to the next.
pub(super) fn period(field: Field<'_>, findings: &mut Findings) -> Reading<Duration> {
    field.duration(1..=YEAR, "1s to 365d", findings)
}
