//! `pkcs11:` URIs (RFC 7512) that name a token.
//!
//! Every path attribute that is given must match, an absent one matches anything. Attributes that
//! name an object on a token are refused: a seed goes to a token. Vendor attributes (`x-…`) are
//! skipped. Other unknown ones are refused, because a misspelt attribute that is skipped would
//! match too much.

mod parse;
mod print;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Version;

/// A `pkcs11:` URI that names a token. It holds no PIN.
#[expect(missing_docs, reason = "the fields are RFC 7512's attributes")]
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenUri {
    pub token: Option<String>,
    pub manufacturer: Option<String>,
    pub serial: Option<String>,
    pub model: Option<String>,
    pub library_manufacturer: Option<String>,
    pub library_description: Option<String>,
    pub library_version: Option<Version>,
    pub slot_manufacturer: Option<String>,
    pub slot_description: Option<String>,
    pub slot_id: Option<u64>,
    /// The library's name without `lib` and suffix.
    pub module_name: Option<String>,
    /// The library's file, an absolute path.
    pub module_path: Option<PathBuf>,
}

/// A text, read as a `pkcs11:` URI.
#[derive(Default)]
pub struct UriReading {
    /// What could be read of the URI.
    pub uri: TokenUri,
    /// The PIN attribute.
    pub pin: Option<UriPin>,
    /// What is wrong, in the order of the places. None: the URI can be used.
    pub faults: Vec<UriError>,
    /// Whether all attributes that name the PIN or the module could be read.
    pub tells_pin_and_module: bool,
}

/// A PIN attribute of a URI. It cannot be printed, since the value may be a PIN.
pub struct UriPin {
    /// Whether it is `pin-value`, the PIN itself. Else it is `pin-source`.
    pub is_value: bool,
    /// Where it begins: bytes from the start of the URI.
    pub offset: usize,
    /// The decoded value.
    pub value: Zeroizing<Vec<u8>>,
}

/// One fault in a `pkcs11:` URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriError {
    /// Where the fault begins: bytes from the start of the URI.
    pub offset: usize,
    /// What is wrong there.
    pub fault: UriFault,
}

/// What is wrong with a `pkcs11:` URI. No variant holds a value: a mistake may leave a part of a
/// PIN there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriFault {
    /// It begins otherwise.
    #[error("a token is named by a URI such as pkcs11:token=LABEL")]
    Scheme,
    /// An attribute without `=`.
    #[error("an attribute of a URI has the form name=value")]
    NoValue,
    /// A name with other characters. One that is percent-encoded could be a PIN attribute in
    /// disguise.
    #[error("an attribute's name in a URI has letters, digits and hyphens only")]
    Name,
    /// A character that a URI cannot hold as it is.
    #[error("this character must be written as {0}")]
    Unencoded(String),
    /// A `%` without two hexadecimal digits behind it.
    #[error("% must be followed by two hexadecimal digits")]
    BadEscape,
    /// Encoded bytes that are no UTF-8 text.
    #[error("the value of {0} is not UTF-8")]
    NotUtf8(&'static str),
    /// The same attribute twice.
    #[error("{0} is given twice")]
    Duplicate(&'static str),
    /// More than one PIN attribute.
    #[error("only one of pin-value and pin-source, and only once")]
    SecondPin,
    /// An attribute that names an object.
    #[error("{0} names an object on a token; a seed goes to the token itself")]
    NamesObject(&'static str),
    /// An attribute that RFC 7512 does not have.
    #[error("unknown attribute")]
    Unknown,
    /// A query attribute before `?`, or a path attribute behind it.
    #[error("{0} belongs {1} the ?")]
    WrongPart(&'static str, &'static str),
    /// A value that is not of the attribute's form.
    #[error("{0} must be {1}")]
    BadValue(&'static str, &'static str),
}

impl TokenUri {
    /// The names of the attributes that a token's URI may have.
    #[must_use]
    pub fn attributes() -> Vec<&'static str> {
        parse::attributes()
    }

    /// Reads a URI to its end, so that every fault is found.
    #[must_use]
    pub fn read(text: &str) -> UriReading {
        parse::parse(text)
    }
}

/// The canonical form.
impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::print(self, f)
    }
}

impl fmt::Debug for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenUri({self})")
    }
}

#[cfg(test)]
mod tests;
