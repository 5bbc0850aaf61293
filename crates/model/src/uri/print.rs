//! Writing a `pkcs11:` URI.

use std::fmt;

use super::TokenUri;

/// Writes the canonical form: attributes in a fixed order, everything but RFC 3986's unreserved
/// characters (and `/` and `:` in paths behind `?`) percent-encoded.
pub(super) fn print(uri: &TokenUri, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let version = uri.library_version.map(|version| version.to_string());
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
    // Its text was UTF-8.
    let module_path = uri.module_path.as_ref();
    let module_path = module_path.map(|path| path.to_string_lossy().into_owned());
    let query = [
        ("module-name", &uri.module_name),
        ("module-path", &module_path),
    ];
    f.write_str("pkcs11:")?;
    attributes(f, &path, ["", ";"], "-._~")?;
    attributes(f, &query, ["?", "&"], "-._~/:")
}

/// Writes those attributes that are there, with `first` before the first one. Besides letters and
/// digits, only the characters of `plain` are not percent-encoded.
fn attributes(
    f: &mut fmt::Formatter<'_>,
    attributes: &[(&str, &Option<String>)],
    [first, separator]: [&str; 2],
    plain: &str,
) -> fmt::Result {
    let mut before = first;
    for (name, value) in attributes {
        let Some(value) = value else { continue };
        write!(f, "{before}{name}=")?;
        before = separator;
        for byte in value.bytes() {
            let character = char::from(byte);
            if character.is_ascii_alphanumeric() || plain.contains(character) {
                write!(f, "{character}")?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
    }
    Ok(())
}
