//! Writing a `pkcs11:` URI.

use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::TokenUri;

/// Writes the canonical form: attributes in a fixed order, everything but RFC 3986's unreserved
/// characters (and `/` and `:` in paths behind `?`) percent-encoded.
pub(super) fn print(uri: &TokenUri, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("pkcs11:")?;
    let version = uri.library_version.map(|v| v.to_string());
    let slot_id = uri.slot_id.map(|id| id.to_string());
    let path = [
        ("token", &uri.token),
        ("manufacturer", &uri.manufacturer),
        ("serial", &uri.serial),
        ("model", &uri.model),
        ("library-manufacturer", &uri.library_manufacturer),
        ("library-description", &uri.library_description),
        ("library-version", &version),
        ("slot-manufacturer", &uri.slot_manufacturer),
        ("slot-description", &uri.slot_description),
        ("slot-id", &slot_id),
    ];
    let mut separator = "";
    for (name, value) in path {
        if let Some(value) = value {
            write!(f, "{separator}{name}={}", Encoded(value.as_bytes(), b""))?;
            separator = ";";
        }
    }
    let query = [
        (
            "module-name",
            uri.module_name.as_ref().map(String::as_bytes),
        ),
        (
            "module-path",
            uri.module_path.as_ref().map(|p| p.as_os_str().as_bytes()),
        ),
    ];
    let mut separator = "?";
    for (name, value) in query {
        if let Some(value) = value {
            write!(f, "{separator}{name}={}", Encoded(value, b"/:"))?;
            separator = "&";
        }
    }
    Ok(())
}

/// Bytes in percent-encoding, with the unreserved characters and `.1` as they are.
struct Encoded<'a>(&'a [u8], &'a [u8]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || self.1.contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}
