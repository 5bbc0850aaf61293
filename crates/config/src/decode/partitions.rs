//! The list of partitions and what `defaults` gives all of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use qseed_model::Login;
use qseed_secrets::SecretRef;

use crate::keys;
use crate::partition::{Partition, Pin};
use crate::quantity;
use crate::report::{Findings, Reading};
use crate::section::{Field, Section};
use crate::yaml::Node;

use super::token::{self, Token, Told};
use super::unique::Unique;

/// Bytes of a seed: what is recommended for Thales Luna 7, and the seed length of a `CTR_DRBG` with
/// AES-256 (SP 800-90A, table 3).
pub(super) const DEFAULT_SIZE: usize = 48;
pub(super) const DEFAULT_PERIOD: Duration = Duration::from_secs(10);

const MAX_SIZE: u64 = 65_536;
const YEAR: u64 = 31_536_000;

/// `CKU_VENDOR_DEFINED` to the end of what the PKCS#11 crates can carry.
const VENDOR_LOGINS: std::ops::RangeInclusive<u32> = 0x8000_0000..=u32::MAX;

/// Settings that partitions share. One that is faulty hides no fault in another.
pub(super) struct Shared {
    module: Reading<Option<PathBuf>>,
    login: Reading<Option<Login>>,
    pin: Reading<Option<SecretRef>>,
    size: Reading<Option<usize>>,
    period: Reading<Option<Duration>>,
    chunk: Reading<Option<usize>>,
}

impl Shared {
    fn read(section: &Section<'_>) -> Self {
        Self {
            module: section.optional("module", Field::module),
            login: section.optional("login", login),
            pin: section.optional("pin", Field::secret),
            size: section.optional("size", size),
            period: section.optional("period", period),
            chunk: section.optional("chunk", size),
        }
    }
}

/// What `defaults` gives to every partition that says nothing else.
pub(super) fn defaults(file: &Section<'_>) -> Reading<Shared> {
    let absent = Section::absent(file.findings);
    let section = file.or("defaults", absent, |field| field.section(keys::DEFAULTS))?;
    Ok(Shared::read(&section))
}

pub(super) fn read(field: Field<'_>, defaults: Reading<&Shared>) -> Reading<Vec<Partition>> {
    let mut names = Unique::default();
    field.filled_list("list at least one partition", |item| {
        partition(item, defaults, &mut names, field.findings)
    })
}

fn partition(
    item: &Node,
    defaults: Reading<&Shared>,
    names: &mut Unique<String>,
    findings: &Findings,
) -> Reading<Partition> {
    let section = Section::open(item, "a partition", keys::PARTITION, findings)?;
    let name = section.require("name", "give each partition a name", |field| {
        let help = "each has a name of its own";
        names.check(field.name()?, field, "is already the partition", help)
    });
    let own = Shared::read(&section);
    let Token { choice, told } = token::read(&section);
    let told = told.as_ref().map_err(|noted| *noted);
    let module = module(&section, &own, defaults, told);
    let access = access(&section, &own, defaults, told);
    let (login, pin) = access?;
    let defaults = defaults?;
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
    defaults: Reading<&Shared>,
    told: Reading<&Told>,
) -> Reading<PathBuf> {
    let (own, told) = (own.module.clone()?, told?);
    let module = match (own, told.module_path.clone()) {
        (Some(own), Some(in_uri)) if own != in_uri => {
            return Err(section.contradiction(
                "module",
                "`module` contradicts module-path in the token's URI",
                "keep one of the two",
            ));
        }
        (Some(module), _) | (None, Some(module)) => module,
        (None, None) => defaults?.module.clone()?.ok_or_else(|| {
            let help = if told.module_name.is_some() {
                "module-name in the token's URI does not say where the library is: write its path \
                 here, into `defaults`, or as module-path into the URI"
            } else {
                "write the path of the vendor's PKCS#11 library here or into `defaults`"
            };
            section.missing("module", help)
        })?,
    };
    match &told.module_name {
        Some(name) if name_of(&module) != Some(name) => Err(section.contradiction(
            "token",
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
    defaults: Reading<&Shared>,
    told: Reading<&Told>,
) -> Reading<(Login, Pin)> {
    let in_uri = told?.pin.clone();
    let own_pin = own.pin.clone()?;
    if own_pin.is_some() && in_uri.is_some() {
        return Err(section.contradiction(
            "pin",
            "`pin` contradicts pin-value or pin-source in the token's URI",
            "keep one of the two",
        ));
    }
    let own_pin = own_pin.or(in_uri);
    let own_login = own.login?;
    let login = match own_login {
        Some(login) => login,
        None => defaults?.login?.unwrap_or(Login::User),
    };
    if login.needs_pin() {
        let pin = match own_pin {
            Some(pin) => pin,
            None => defaults?.pin.clone()?.ok_or_else(|| {
                let help = "write file:PATH, or `login: none` or `login: protected` (PIN pad, PED)";
                section.missing("pin", help)
            })?,
        };
        return Ok((login, Pin::Given(pin)));
    }
    let only_defaults = own_login.is_none() && matches!(defaults?.pin, Ok(Some(_)));
    if own_pin.is_some() || only_defaults {
        return Err(section.contradiction(
            "pin",
            "a PIN contradicts `login: none` and `login: protected`",
            "take the PIN out, or write `login: user`",
        ));
    }
    Ok((login, Pin::Absent))
}

fn login(field: Field<'_>) -> Reading<Login> {
    let text = field.text()?;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let help = "a vendor's user type is a number from 0x80000000 to 0xffffffff";
        let number = quantity::decimal_or_hex(text).ok();
        return match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if VENDOR_LOGINS.contains(&number) => Ok(Login::Vendor(number)),
            _ => field.refuse("is not a login", help),
        };
    }
    field.choice(&[
        ("user", Login::User),
        ("so", Login::So),
        ("none", Login::None),
        ("protected", Login::Protected),
    ])
}

/// Bytes of a seed or of one call.
pub(super) fn size(field: Field<'_>) -> Reading<usize> {
    let help = "write a whole number of bytes from 1 to 65536";
    field.number(1..=MAX_SIZE, help)
}

/// The time from one seed to the next.
pub(super) fn period(field: Field<'_>) -> Reading<Duration> {
    field.duration(1..=YEAR, "1s to 365d")
}
