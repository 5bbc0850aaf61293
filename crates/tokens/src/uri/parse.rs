//! Reading a `pkcs11:` URI.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{TokenUri, UriError, UriFault};
use crate::directory::Version;

const SCHEME: &str = "pkcs11:";

/// What RFC 7512 section 2.3 lets stand unencoded in values, besides letters and digits: in the
/// path (`pk11-pchar`) and in the query (`pk11-qchar`).
const PATH_CHARS: &[u8] = b"-._~:[]@!$'()*+,=&";
const QUERY_CHARS: &[u8] = b"-._~:[]@!$'()*+,=/?|";

/// Path attributes that name an object, and query attributes: for telling what is wrong.
const OBJECT_ATTRIBUTES: [&str; 3] = ["object", "type", "id"];
/// The configuration takes the first two out before.
pub(super) const QUERY_ATTRIBUTES: [&str; 4] =
    ["pin-source", "pin-value", "module-name", "module-path"];
pub(super) const PATH_ATTRIBUTES: [&str; 10] = [
    "token",
    "manufacturer",
    "serial",
    "model",
    "library-manufacturer",
    "library-description",
    "library-version",
    "slot-manufacturer",
    "slot-description",
    "slot-id",
];

/// Reads a URI to its end: each attribute that is wrong adds a fault.
pub(super) fn parse(text: &str) -> Result<TokenUri, Vec<UriError>> {
    // Schemes are compared without regard to case (RFC 3986 section 3.1).
    let begins = text
        .get(..SCHEME.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    if !begins {
        return Err(vec![at(0, UriFault::Scheme)]);
    }
    let (path, query) = match text.find('?') {
        Some(mark) => (
            &text[SCHEME.len()..mark],
            Some((mark + 1, &text[mark + 1..])),
        ),
        None => (&text[SCHEME.len()..], None),
    };
    let mut uri = TokenUri::default();
    let mut faults = Vec::new();
    for attribute in attributes(path, SCHEME.len(), ';') {
        let read = attribute.and_then(|attribute| path_attribute(&mut uri, &attribute));
        faults.extend(read.err());
    }
    if let Some((offset, query)) = query {
        for attribute in attributes(query, offset, '&') {
            let read = attribute.and_then(|attribute| query_attribute(&mut uri, &attribute));
            faults.extend(read.err());
        }
    }
    if faults.is_empty() {
        Ok(uri)
    } else {
        Err(faults)
    }
}

/// `name=value` and where both begin.
struct Attribute<'a> {
    name: &'a str,
    offset: usize,
    value: &'a str,
    value_offset: usize,
}

/// Cuts a part of the URI into attributes. Nothing at all is no attribute; an empty one is a
/// fault.
fn attributes(
    part: &str,
    offset: usize,
    separator: char,
) -> impl Iterator<Item = Result<Attribute<'_>, UriError>> {
    let pieces = (!part.is_empty()).then(|| part.split(separator));
    let mut offset = offset;
    pieces.into_iter().flatten().map(move |piece| {
        let begin = offset;
        offset += piece.len() + separator.len_utf8();
        let (name, value) = piece
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| at(begin, UriFault::NoValue))?;
        Ok(Attribute {
            name,
            offset: begin,
            value,
            value_offset: begin + name.len() + 1,
        })
    })
}

fn path_attribute(uri: &mut TokenUri, attribute: &Attribute<'_>) -> Result<(), UriError> {
    let text = |slot: &mut Option<String>, name| {
        let value = decode_text(attribute, PATH_CHARS, name)?;
        set(slot, value, attribute, name)
    };
    match attribute.name {
        "token" => text(&mut uri.token, "token"),
        "manufacturer" => text(&mut uri.manufacturer, "manufacturer"),
        "serial" => text(&mut uri.serial, "serial"),
        "model" => text(&mut uri.model, "model"),
        "library-manufacturer" => text(&mut uri.library_manufacturer, "library-manufacturer"),
        "library-description" => text(&mut uri.library_description, "library-description"),
        "slot-manufacturer" => text(&mut uri.slot_manufacturer, "slot-manufacturer"),
        "slot-description" => text(&mut uri.slot_description, "slot-description"),
        "library-version" => {
            let value = version(&decode_text(attribute, PATH_CHARS, "library-version")?);
            let fault = UriFault::BadValue("library-version", "two numbers up to 255, as in 3.2");
            let value = value.ok_or_else(|| at(attribute.value_offset, fault))?;
            set(
                &mut uri.library_version,
                value,
                attribute,
                "library-version",
            )
        }
        "slot-id" => {
            let value = number(&decode_text(attribute, PATH_CHARS, "slot-id")?);
            let fault = UriFault::BadValue("slot-id", "a decimal number below 2^64");
            let value = value.ok_or_else(|| at(attribute.value_offset, fault))?;
            set(&mut uri.slot_id, value, attribute, "slot-id")
        }
        name if is_vendors(name) => Ok(()),
        name => Err(unknown(name, attribute, &QUERY_ATTRIBUTES, "behind")),
    }
}

fn query_attribute(uri: &mut TokenUri, attribute: &Attribute<'_>) -> Result<(), UriError> {
    match attribute.name {
        "module-name" => {
            let value = decode_text(attribute, QUERY_CHARS, "module-name")?;
            if value.is_empty() || value.contains(['/', '\0']) {
                let fault = UriFault::BadValue("module-name", "a name without a folder");
                return Err(at(attribute.value_offset, fault));
            }
            set(&mut uri.module_name, value, attribute, "module-name")?;
        }
        "module-path" => {
            let value = decode(attribute, QUERY_CHARS)?;
            if value.first() != Some(&b'/') || value.contains(&0) {
                let fault = UriFault::BadValue("module-path", "an absolute path");
                return Err(at(attribute.value_offset, fault));
            }
            let path = PathBuf::from(OsString::from_vec(value));
            set(&mut uri.module_path, path, attribute, "module-path")?;
        }
        name if is_vendors(name) => {}
        name => return Err(unknown(name, attribute, &PATH_ATTRIBUTES, "before")),
    }
    Ok(())
}

fn set<T>(
    slot: &mut Option<T>,
    value: T,
    attribute: &Attribute<'_>,
    name: &'static str,
) -> Result<(), UriError> {
    if slot.is_some() {
        return Err(at(attribute.offset, UriFault::Duplicate(name)));
    }
    *slot = Some(value);
    Ok(())
}

/// Why an attribute cannot stand where it does.
fn unknown(
    name: &str,
    attribute: &Attribute<'_>,
    elsewhere: &[&'static str],
    its_part: &'static str,
) -> UriError {
    let known = |names: &[&'static str]| names.iter().copied().find(|known| *known == name);
    let fault = if let Some(object) = known(&OBJECT_ATTRIBUTES) {
        UriFault::NamesObject(object)
    } else if let Some(name) = known(elsewhere) {
        UriFault::WrongPart(name, its_part)
    } else {
        UriFault::Unknown
    };
    at(attribute.offset, fault)
}

/// Whether an attribute is a vendor's own, which others skip.
fn is_vendors(name: &str) -> bool {
    name.starts_with("x-")
}

fn decode_text(
    attribute: &Attribute<'_>,
    allowed: &[u8],
    name: &'static str,
) -> Result<String, UriError> {
    let bytes = decode(attribute, allowed)?;
    String::from_utf8(bytes).map_err(|_| at(attribute.value_offset, UriFault::NotUtf8(name)))
}

fn decode(attribute: &Attribute<'_>, allowed: &[u8]) -> Result<Vec<u8>, UriError> {
    let value = attribute.value;
    let mut decoded = Vec::with_capacity(value.len());
    let mut characters = value.char_indices();
    while let Some((place, character)) = characters.next() {
        let offset = attribute.value_offset + place;
        let byte = if character == '%' {
            let digits = value.get(place + 1..place + 3);
            let byte = digits
                .and_then(hex)
                .ok_or_else(|| at(offset, UriFault::BadEscape))?;
            characters.next();
            characters.next();
            byte
        } else {
            u8::try_from(character)
                .ok()
                .filter(|byte| byte.is_ascii_alphanumeric() || allowed.contains(byte))
                .ok_or_else(|| at(offset, unencoded(character)))?
        };
        decoded.push(byte);
    }
    Ok(decoded)
}

fn hex(digits: &str) -> Option<u8> {
    // from_str_radix alone would take a sign.
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_hex
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

/// How a character that stands unencoded must be written.
fn unencoded(character: char) -> UriFault {
    let mut buffer = [0; 4];
    let mut written = String::new();
    for byte in character.encode_utf8(&mut buffer).bytes() {
        let _ = write!(written, "%{byte:02X}");
    }
    UriFault::Unencoded(written)
}

fn version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some(Version {
        major: u8::try_from(number(major)?).ok()?,
        minor: u8::try_from(number(minor)?).ok()?,
    })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn at(offset: usize, fault: UriFault) -> UriError {
    UriError { offset, fault }
}
