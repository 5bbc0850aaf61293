//! `pkcs11:` URIs (RFC 7512) that name a token.
//!
//! Every path attribute that is given must match, an absent one matches anything. Attributes that
//! name an object on a token are refused: a seed goes to a token. Vendor attributes (`x-…`) are
//! skipped, other unknown ones are refused, because an attribute that is misspelt and skipped
//! would match too much.

mod parse;
mod print;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::directory::{LibraryInfo, SlotReport, TokenInfo, Version};

/// A `pkcs11:` URI that names a token. It holds no PIN: the configuration takes `pin-value` and
/// `pin-source` out before.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUri {
    token: Option<String>,
    manufacturer: Option<String>,
    serial: Option<String>,
    model: Option<String>,
    library_manufacturer: Option<String>,
    library_description: Option<String>,
    library_version: Option<Version>,
    slot_manufacturer: Option<String>,
    slot_description: Option<String>,
    slot_id: Option<u64>,
    module_name: Option<String>,
    module_path: Option<PathBuf>,
}

/// Why a text is not a `pkcs11:` URI of a token, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} (at character {} of the URI)", .offset + 1)]
pub struct UriError {
    /// Where the fault begins: bytes from the start of the URI.
    pub offset: usize,
    /// What is wrong there.
    pub fault: UriFault,
}

/// What is wrong with a `pkcs11:` URI. No variant holds a value: a mistake may leave a part of a PIN there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriFault {
    /// It begins otherwise.
    #[error("a token's URI begins with pkcs11:")]
    Scheme,
    /// An attribute without `=`.
    #[error("an attribute is written name=value")]
    NoValue,
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
    /// An attribute that names an object.
    #[error("{0} names an object on a token; a seed goes to the token itself")]
    NamesObject(&'static str),
    /// An attribute that RFC 7512 does not have.
    #[error("RFC 7512 has no attribute of this name here")]
    Unknown,
    /// A query attribute before `?`, or a path attribute behind it.
    #[error("{0} belongs {1} the ?")]
    WrongPart(&'static str, &'static str),
    /// A value that is not of the attribute's form.
    #[error("{0} must be {1}")]
    BadValue(&'static str, &'static str),
}

impl TokenUri {
    /// The names of the attributes that a token's URI may have before the `?`.
    pub const PATH_ATTRIBUTES: &'static [&'static str] = &parse::PATH_ATTRIBUTES;
    /// The names of those behind it.
    pub const QUERY_ATTRIBUTES: &'static [&'static str] = &parse::QUERY_ATTRIBUTES;

    /// Reads a URI like [`str::parse`], which stops at the first fault.
    ///
    /// # Errors
    /// What is wrong with each of its attributes, in the order of their places; at least one.
    pub fn read(text: &str) -> Result<Self, Vec<UriError>> {
        parse::parse(text)
    }

    /// The module's file or folder, from `module-path`.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        self.module_path.as_deref()
    }

    /// The module's name without `lib` and suffix, from `module-name`.
    #[must_use]
    pub fn module_name(&self) -> Option<&str> {
        self.module_name.as_deref()
    }

    /// Whether only `slot-id` and slot attributes name the token: they change with the slots.
    #[must_use]
    pub fn names_no_token(&self) -> bool {
        [&self.token, &self.serial, &self.model, &self.manufacturer]
            .into_iter()
            .all(Option::is_none)
    }

    /// Whether a token in a slot of a module is one that the URI names.
    #[must_use]
    pub fn matches(&self, library: &LibraryInfo, slot: &SlotReport) -> bool {
        let Some(token) = slot.token() else {
            return false;
        };
        same(self.token.as_deref(), &token.label)
            && same(self.manufacturer.as_deref(), &token.manufacturer)
            && same(self.serial.as_deref(), &token.serial)
            && same(self.model.as_deref(), &token.model)
            && same(self.library_manufacturer.as_deref(), &library.manufacturer)
            && same(self.library_description.as_deref(), &library.description)
            && self.library_version.is_none_or(|v| v == library.version)
            && same(self.slot_manufacturer.as_deref(), &slot.manufacturer)
            && same(self.slot_description.as_deref(), &slot.description)
            && self.slot_id.is_none_or(|id| id == slot.id)
    }
}

impl TokenInfo {
    /// The `pkcs11:` URI that names this token wherever it is: label, serial, model and
    /// manufacturer.
    #[must_use]
    pub fn uri(&self) -> TokenUri {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TokenUri {
            token: given(&self.label),
            manufacturer: given(&self.manufacturer),
            serial: given(&self.serial),
            model: given(&self.model),
            ..TokenUri::default()
        }
    }
}

/// RFC 7512 section 2.5: compared as they are once decoded; padding is not part of a field.
fn same(wanted: Option<&str>, is: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.trim_matches(' ') == is)
}

impl FromStr for TokenUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        // At least one, so the first is there.
        parse::parse(text).map_err(|mut faults| faults.swap_remove(0))
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
