//! Reading a `pkcs11:` URI.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::{UriError, UriFault, UriPin, UriReading};
use crate::Version;

const SCHEME: &str = "pkcs11:";

/// A part of a URI.
struct Part {
    separator: char,
    attributes: &'static [&'static str],
    /// What RFC 7512 section 2.3 lets stand unencoded in values, besides letters and digits.
    plain: &'static str,
    /// Where it stands, seen from the `?`.
    place: &'static str,
}

const PATH: Part = Part {
    separator: ';',
    attributes: &[
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
    ],
    plain: "-._~:[]@!$'()*+,=&",
    place: "before",
};
const QUERY: Part = Part {
    separator: '&',
    attributes: &["pin-source", "pin-value", "module-name", "module-path"],
    plain: "-._~:[]@!$'()*+,=/?|",
    place: "behind",
};

/// The attributes that a token's URI may have.
pub(super) fn attributes() -> Vec<&'static str> {
    [PATH.attributes, QUERY.attributes].concat()
}

/// The path attributes that name an object.
const OBJECT_ATTRIBUTES: &[&str] = &["object", "type", "id"];

/// Reads a URI to its end: each attribute that is wrong adds a fault.
pub(super) fn parse(text: &str) -> UriReading {
    let mut reader = Reader::default();
    // Schemes are compared without regard to case (RFC 3986 section 3.1).
    let rest = text
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
    let Some((_, rest)) = rest else {
        reader.reading.faults.push(at(0, UriFault::Scheme));
        return reader.reading;
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query_begins = SCHEME.len() + path.len() + 1;
    if !path.is_empty() {
        reader.part(&PATH, path, SCHEME.len());
    }
    reader.part(&QUERY, query, query_begins);
    let UriReading { faults, .. } = &reader.reading;
    let tells_pin_and_module = faults.iter().all(|error| {
        error.offset < query_begins && !matches!(error.fault, UriFault::WrongPart(..))
    });
    UriReading {
        tells_pin_and_module,
        ..reader.reading
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    reading: UriReading,
    seen: Vec<&'static str>,
}

/// An attribute's value, where it begins in the URI, and what may stand unencoded in it.
struct Value<'a> {
    name: &'static str,
    text: &'a str,
    offset: usize,
    plain: &'static str,
}

impl Reader {
    fn part(&mut self, part: &Part, text: &str, begins: usize) {
        let mut offset = begins;
        for piece in text.split(part.separator) {
            let read = self.attribute(part, piece, offset);
            self.reading.faults.extend(read.err());
            offset += piece.len() + part.separator.len_utf8();
        }
    }

    fn attribute(&mut self, part: &Part, piece: &str, offset: usize) -> Result<(), UriError> {
        let fault = |fault| Err(at(offset, fault));
        // Some programs leave one behind.
        if piece.is_empty() && part.separator == QUERY.separator {
            return Ok(());
        }
        let Some((name, text)) = piece.split_once('=') else {
            return fault(UriFault::NoValue);
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) {
            return fault(UriFault::Name);
        }
        let parts = [PATH, QUERY].into_iter();
        let mut found = parts.filter_map(|of| Some((among(of.attributes, name)?, of)));
        let known = match found.next() {
            Some((known, of)) if of.separator == part.separator => known,
            Some((known, of)) => return fault(UriFault::WrongPart(known, of.place)),
            None => match among(OBJECT_ATTRIBUTES, name) {
                Some(object) => return fault(UriFault::NamesObject(object)),
                None if name.starts_with("x-") => return Ok(()),
                None => return fault(UriFault::Unknown),
            },
        };
        if self.seen.contains(&known) {
            return fault(UriFault::Duplicate(known));
        }
        self.seen.push(known);
        if known.starts_with("pin-") {
            return self.pin(known == "pin-value", text, offset);
        }
        self.value(&Value {
            name: known,
            text,
            offset: offset + name.len() + 1,
            plain: part.plain,
        })
    }

    /// A PIN may have any character, and no fault tells where in it something is wrong.
    fn pin(&mut self, is_value: bool, text: &str, offset: usize) -> Result<(), UriError> {
        if self.reading.pin.is_some() {
            return Err(at(offset, UriFault::SecondPin));
        }
        let value = decode(text, None).map_err(|error| at(offset, error.fault))?;
        self.reading.pin = Some(UriPin {
            is_value,
            offset,
            value,
        });
        Ok(())
    }

    fn value(&mut self, value: &Value<'_>) -> Result<(), UriError> {
        let uri = &mut self.reading.uri;
        let text = value.decoded()?;
        match value.name {
            "token" => uri.token = Some(text),
            "manufacturer" => uri.manufacturer = Some(text),
            "serial" => uri.serial = Some(text),
            "model" => uri.model = Some(text),
            "library-manufacturer" => uri.library_manufacturer = Some(text),
            "library-description" => uri.library_description = Some(text),
            "library-version" => {
                let form = "two numbers up to 255, as in 3.2";
                uri.library_version = Some(version(&text).ok_or_else(|| value.must_be(form))?);
            }
            "slot-manufacturer" => uri.slot_manufacturer = Some(text),
            "slot-description" => uri.slot_description = Some(text),
            "slot-id" => {
                let form = "a decimal number below 2^64";
                uri.slot_id = Some(number(&text).ok_or_else(|| value.must_be(form))?);
            }
            "module-name" => {
                if text.is_empty() || text.contains(['/', '\0']) {
                    return Err(value.must_be("a name without a folder"));
                }
                uri.module_name = Some(text);
            }
            _ => {
                if !text.starts_with('/') || text.contains('\0') {
                    return Err(value.must_be("an absolute path"));
                }
                uri.module_path = Some(text.into());
            }
        }
        Ok(())
    }
}

impl Value<'_> {
    fn decoded(&self) -> Result<String, UriError> {
        let mut bytes = decode(self.text, Some(self.plain))
            .map_err(|error| at(self.offset + error.offset, error.fault))?;
        String::from_utf8(std::mem::take(&mut *bytes))
            .map_err(|_| at(self.offset, UriFault::NotUtf8(self.name)))
    }

    fn must_be(&self, form: &'static str) -> UriError {
        at(self.offset, UriFault::BadValue(self.name, form))
    }
}

/// The attribute of this name. A PIN is recognised in capitals too: it must not be shown.
fn among(names: &[&'static str], name: &str) -> Option<&'static str> {
    let is_pin = |known: &str| known.starts_with("pin-") && known.eq_ignore_ascii_case(name);
    let mut names = names.iter().copied();
    names.find(|known| *known == name || is_pin(known))
}

/// Percent-decodes strictly, into room for all of it. Besides letters and digits, the characters
/// of `allowed` may stand unencoded; `None`: any may.
fn decode(value: &str, allowed: Option<&str>) -> Result<Zeroizing<Vec<u8>>, UriError> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut characters = value.char_indices();
    while let Some((offset, character)) = characters.next() {
        if character == '%' {
            let digits = value.get(offset + 1..offset + 3);
            let byte = digits.and_then(hex);
            decoded.push(byte.ok_or_else(|| at(offset, UriFault::BadEscape))?);
            characters.nth(1);
            continue;
        }
        let may_stand =
            |allowed: &str| character.is_ascii_alphanumeric() || allowed.contains(character);
        let mut encoded = [0; 4];
        let encoded = character.encode_utf8(&mut encoded).as_bytes();
        if !allowed.is_none_or(may_stand) {
            return Err(at(offset, unencoded(encoded)));
        }
        decoded.extend_from_slice(encoded);
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
fn unencoded(character: &[u8]) -> UriFault {
    let mut written = String::new();
    for byte in character {
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
