//! What a `pkcs11:` URI (RFC 7512) says beside which token it names: PIN and module.
//!
//! The crate that finds tokens reads the URI in full. Here its PIN attributes are taken out, so
//! that a URI can be shown and kept, and a PIN has one place only.

use std::path::PathBuf;

use qseed_secrets::{Secret, SecretRef};
use zeroize::Zeroizing;

/// A `pkcs11:` URI, taken apart.
pub(crate) struct TokenUri {
    /// The URI as written, without its PIN attributes.
    pub(crate) uri: String,
    /// What `pin-value` or `pin-source` says.
    pub(crate) pin: Option<SecretRef>,
    /// What `module-path` says.
    pub(crate) module_path: Option<PathBuf>,
}

const SCHEME: &str = "pkcs11:";

impl TokenUri {
    /// Takes a URI apart. An error says what is wrong without showing any of it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or("a token is named by a URI such as pkcs11:token=LABEL")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            if is_pin(name_and_value(attribute)?.0) {
                return Err("pin-value and pin-source stand behind a `?` in a URI");
            }
        }
        let mut pin = None;
        let mut module_path = None;
        let mut kept = Vec::new();
        for attribute in query.split('&').filter(|attribute| !attribute.is_empty()) {
            let (name, value) = name_and_value(attribute)?;
            if is_pin(name) {
                if pin.replace(read_pin(name, value)?).is_some() {
                    return Err("only one of pin-value and pin-source, and only once");
                }
                continue;
            }
            if name == "module-path" {
                let decoded = decode(value)?;
                let path = std::str::from_utf8(&decoded).map_err(|_| "module-path is not UTF-8")?;
                if path.is_empty() || module_path.replace(PathBuf::from(path)).is_some() {
                    return Err("module-path is one path");
                }
            }
            kept.push(attribute);
        }
        let mut uri = format!("{SCHEME}{path}");
        if !kept.is_empty() {
            uri.push('?');
            uri.push_str(&kept.join("&"));
        }
        Ok(Self {
            uri,
            pin,
            module_path,
        })
    }
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

    use super::TokenUri;

    fn parse(text: &str) -> TokenUri {
        TokenUri::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
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
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "token=a",
            "PKCS11:token=a",
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
            assert!(TokenUri::parse(text).is_err(), "{text:?}");
        }
    }
}
