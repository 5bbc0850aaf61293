//! What a `pkcs11:` URI (RFC 7512) says beside which token it names: PIN and module.
//!
//! The crate that finds tokens reads the URI in full. Here its PIN attributes are taken out, so
//! that a URI can be shown and kept, and a PIN has one place only. What is left is judged by
//! whoever reads it later ([`JudgeUri`]), so that its faults stand in the same report as all
//! others.

use std::path::PathBuf;

use qseed_secrets::{Secret, SecretRef};
use zeroize::Zeroizing;

/// Judges a token's URI without PIN attributes: what is wrong with it, nothing if it can be used.
pub type JudgeUri = fn(&str) -> Vec<UriFault>;

/// What is wrong with a token's URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriFault {
    /// Where it begins: bytes from the start of the URI.
    pub offset: usize,
    /// What it is.
    pub what: WrongInUri,
}

/// What can be wrong with a token's URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongInUri {
    /// An attribute of a name that is none of `known`.
    Unknown {
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// Anything else, in words that hold no value, without a full stop.
    Other(String),
}

/// A `pkcs11:` URI, taken apart.
pub(crate) struct TokenUri {
    /// The URI as written, without its PIN attributes.
    pub(crate) uri: String,
    /// What `pin-value` or `pin-source` says.
    pub(crate) pin: Option<SecretRef>,
    /// What `module-path` says.
    pub(crate) module_path: Option<PathBuf>,
    /// What `module-name` says.
    pub(crate) module_name: Option<String>,
    /// What is wrong with it, in the order of the places.
    pub(crate) faults: Vec<UriFault>,
    /// Whether it is said in full what PIN and module are: nothing is wrong where they stand.
    pub(crate) tells_pin_and_module: bool,
}

const SCHEME: &str = "pkcs11:";

impl TokenUri {
    /// Takes a URI apart. No fault shows any value of it.
    pub(crate) fn parse(text: &str, judge: JudgeUri) -> Self {
        let mut reader = Reader::default();
        // Schemes are compared without regard to case (RFC 3986 section 3.1).
        let rest = text
            .split_at_checked(SCHEME.len())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
        let Some((_, rest)) = rest else {
            reader.refuse(0, "a token is named by a URI such as pkcs11:token=LABEL");
            return reader.conclude(String::new(), 0, judge);
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query_begins = SCHEME.len() + path.len() + 1;
        let mut offset = SCHEME.len();
        for attribute in path.split(';') {
            reader.path_attribute(offset, attribute);
            offset += attribute.len() + 1;
        }
        let mut uri = SCHEME.to_owned();
        reader.join(&mut uri, SCHEME.len(), ';');
        offset = query_begins;
        for attribute in query.split('&') {
            if !attribute.is_empty() {
                reader.query_attribute(offset, attribute);
            }
            offset += attribute.len() + 1;
        }
        if !reader.kept.is_empty() {
            uri.push('?');
            reader.join(&mut uri, query_begins, '&');
        }
        reader.conclude(uri, query_begins, judge)
    }
}

/// What reading a URI has brought so far.
#[derive(Default)]
struct Reader<'uri> {
    pin: Option<SecretRef>,
    module_path: Option<PathBuf>,
    module_name: Option<String>,
    /// Whether PIN or module are named before the `?`.
    misplaced: bool,
    /// The attributes of the part being read that stay, and where they begin.
    kept: Vec<(usize, &'uri str)>,
    /// Where a stretch of what stays begins, and where it begins in the URI as written.
    moved: Vec<(usize, usize)>,
    faults: Vec<UriFault>,
}

impl<'uri> Reader<'uri> {
    fn refuse(&mut self, offset: usize, why: &str) {
        self.faults.push(UriFault {
            offset,
            what: WrongInUri::Other(why.to_owned()),
        });
    }

    fn path_attribute(&mut self, offset: usize, attribute: &'uri str) {
        if attribute.is_empty() {
            // Whether one may be empty is for the judge.
            self.kept.push((offset, attribute));
            return;
        }
        match name_and_value(attribute) {
            Ok((name, _)) if is_pin(name) => {
                self.misplaced = true;
                let why = "pin-value and pin-source stand behind a `?` in a URI";
                self.refuse(offset, why);
            }
            Ok((name, _)) => {
                self.misplaced |= name == "module-path";
                self.kept.push((offset, attribute));
            }
            Err(why) => self.refuse(offset, why),
        }
    }

    fn query_attribute(&mut self, offset: usize, attribute: &'uri str) {
        match self.read_query(attribute) {
            Ok(true) => self.kept.push((offset, attribute)),
            Ok(false) => {}
            Err(why) => self.refuse(offset, why),
        }
    }

    /// Whether the attribute stays.
    fn read_query(&mut self, attribute: &str) -> Result<bool, &'static str> {
        let (name, value) = name_and_value(attribute)?;
        if is_pin(name) {
            if self.pin.replace(read_pin(name, value)?).is_some() {
                return Err("only one of pin-value and pin-source, and only once");
            }
            return Ok(false);
        }
        if name == "module-path" {
            let decoded = decode(value)?;
            let path = std::str::from_utf8(&decoded).map_err(|_| "module-path is not UTF-8")?;
            if path.is_empty() || self.module_path.replace(PathBuf::from(path)).is_some() {
                return Err("module-path is one path");
            }
        }
        if name == "module-name" {
            let decoded = decode(value)?;
            let text = std::str::from_utf8(&decoded).map_err(|_| "module-name is not UTF-8")?;
            if text.is_empty() || self.module_name.replace(text.to_owned()).is_some() {
                return Err("module-name is one name");
            }
        }
        Ok(true)
    }

    /// Adds what stays of a part that began at `begins` to `uri`.
    fn join(&mut self, uri: &mut String, begins: usize, separator: char) {
        self.moved.push((uri.len(), begins));
        for (index, (offset, attribute)) in self.kept.drain(..).enumerate() {
            if index > 0 {
                uri.push(separator);
            }
            self.moved.push((uri.len(), offset));
            uri.push_str(attribute);
        }
    }

    fn conclude(mut self, uri: String, query_begins: usize, judge: JudgeUri) -> TokenUri {
        // Without its scheme it is no URI that could be judged further.
        if !uri.is_empty() {
            self.faults
                .extend(judge(&uri).into_iter().map(|fault| UriFault {
                    offset: as_written(fault.offset, &self.moved),
                    what: fault.what,
                }));
        }
        self.faults.sort_by_key(|fault| fault.offset);
        let query_is_right = self.faults.iter().all(|fault| fault.offset < query_begins);
        TokenUri {
            uri,
            pin: self.pin,
            module_path: self.module_path,
            module_name: self.module_name,
            faults: self.faults,
            tells_pin_and_module: query_is_right && !self.misplaced,
        }
    }
}

/// Where in the URI as written a place in what stays of it is.
fn as_written(offset: usize, moved: &[(usize, usize)]) -> usize {
    let stretch = moved.iter().rev().find(|(begins, _)| *begins <= offset);
    stretch.map_or(offset, |(begins, wrote)| wrote + offset - begins)
}

fn is_pin(name: &str) -> bool {
    name.eq_ignore_ascii_case("pin-value") || name.eq_ignore_ascii_case("pin-source")
}

/// A name that is percent-encoded could be a PIN's in disguise, so names are plain.
fn name_and_value(attribute: &str) -> Result<(&str, &str), &'static str> {
    let (name, value) = attribute
        .split_once('=')
        .ok_or("an attribute of a URI has the form name=value")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        return Err("an attribute's name in a URI has letters, digits and hyphens only");
    }
    Ok((name, value))
}

fn read_pin(name: &str, value: &str) -> Result<SecretRef, &'static str> {
    let mut decoded = decode(value)?;
    if decoded.is_empty() {
        return Err("pin-value and pin-source cannot be empty");
    }
    if name.eq_ignore_ascii_case("pin-value") {
        return Ok(SecretRef::Literal(Secret::new(std::mem::take(
            &mut *decoded,
        ))));
    }
    let source = std::str::from_utf8(&decoded).map_err(|_| "pin-source is not UTF-8")?;
    match SecretRef::parse(source) {
        Ok(SecretRef::Literal(_)) => Err("pin-source begins with file:, env: or credential:"),
        other => other,
    }
}

/// Percent-decodes strictly, into room for all of it.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || {
            bytes
                .next()
                .and_then(|digit| char::from(digit).to_digit(16))
        };
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("two hexadecimal digits follow each `%` in a URI");
        };
        decoded.push(u8::try_from(high * 16 + low).map_err(|_| "not a byte")?);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use qseed_secrets::SecretRef;

    use super::{TokenUri, UriFault, WrongInUri};

    fn parse(text: &str) -> TokenUri {
        let uri = TokenUri::parse(text, |_| Vec::new());
        assert_eq!(uri.faults, [], "{text}");
        assert!(uri.tells_pin_and_module, "{text}");
        uri
    }

    #[test]
    fn the_pin_is_taken_out() {
        let uri = parse("pkcs11:token=a;serial=1?pin-value=p%25%3b1&module-name=x");
        assert_eq!(uri.uri, "pkcs11:token=a;serial=1?module-name=x");
        let pin = uri.pin.expect("a PIN").read().expect("a literal");
        assert_eq!(pin.expose(), b"p%;1");
        let uri = parse("pkcs11:token=a?pin-source=file:/etc/pin%20a");
        assert_eq!(uri.uri, "pkcs11:token=a");
        assert_eq!(uri.pin, Some(SecretRef::File("/etc/pin a".into())));
    }

    #[test]
    fn the_module_is_seen_and_stays() {
        let uri = parse("pkcs11:token=pin-value?module-path=/usr/lib/x.so");
        assert_eq!(uri.uri, "pkcs11:token=pin-value?module-path=/usr/lib/x.so");
        assert_eq!(uri.module_path, Some("/usr/lib/x.so".into()));
        assert_eq!(uri.pin, None);
    }

    #[test]
    fn a_scheme_may_be_in_capitals() {
        for scheme in ["PKCS11", "Pkcs11", "pkcs11"] {
            let uri = parse(&format!("{scheme}:token=A?pin-value=1"));
            assert_eq!(uri.uri, "pkcs11:token=A");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "token=a",
            "pkcs11:token",
            "pkcs11:pin-value=1",
            "pkcs11:PIN-VALUE=1",
            "pkcs11:token=a?pin%2Dvalue=1",
            "pkcs11:token=a?pin-value=1&pin-source=file:/x",
            "pkcs11:token=a?pin-value=1&pin-value=1",
            "pkcs11:token=a?pin-value=",
            "pkcs11:token=a?pin-value=%",
            "pkcs11:token=a?pin-value=%1",
            "pkcs11:token=a?pin-value=%+1",
            "pkcs11:token=a?pin-source=|/bin/pin",
            "pkcs11:token=a?pin-source=/etc/pin",
            "pkcs11:token=a?pin-source=file:",
            "pkcs11:?module-path=",
            "pkcs11:?module-path=a&module-path=a",
            "pkcs11:?pin-source=%ff",
        ] {
            let uri = TokenUri::parse(text, |_| Vec::new());
            assert_ne!(uri.faults, [], "{text:?}");
        }
    }

    /// Finds each `x`, wherever it stands.
    fn no_x(uri: &str) -> Vec<UriFault> {
        let fault = |(offset, _)| UriFault {
            offset,
            what: WrongInUri::Other("x".to_owned()),
        };
        uri.match_indices('x').map(fault).collect()
    }

    #[test]
    fn the_judge_sees_no_pin_and_its_places_are_those_of_the_uri_as_written() {
        for (text, pin_and_module_are_told) in [
            ("pkcs11:token=x", true),
            ("pkcs11:token=a;PIN-value=hunter2,x;serial=x", false),
            ("pkcs11:token=a;module-path=/x", false),
            ("pkcs11:token;serial=x;model=b;xx=?module-name=a", true),
            (
                "pkcs11:?pin-value=hunter2&module-name=x&pin-source=file:/%&y=x",
                false,
            ),
            ("pkcs11:token=x?&&a=b&&module-path=/x", false),
            ("pkcs:token=x", false),
        ] {
            let uri = TokenUri::parse(text, |uri| {
                assert!(!uri.contains("hunter2"), "{uri}");
                no_x(uri)
            });
            let wrong = WrongInUri::Other("x".to_owned());
            for fault in uri.faults.iter().filter(|fault| fault.what == wrong) {
                assert!(text[fault.offset..].starts_with('x'), "{text} {fault:?}");
            }
            assert!(uri.faults.is_sorted_by_key(|fault| fault.offset), "{text}");
            assert_eq!(uri.tells_pin_and_module, pin_and_module_are_told, "{text}");
        }
        let places = |text: &str| {
            let faults = TokenUri::parse(text, no_x).faults.into_iter();
            faults.map(|fault| fault.offset).collect::<Vec<_>>()
        };
        let text = "pkcs11:token;serial=x?pin-value=1&module-name=x&b";
        assert_eq!(places(text), [7, 20, 46, 48]);
    }
}
