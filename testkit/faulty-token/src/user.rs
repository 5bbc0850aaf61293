//! Who logs in.

use std::fmt;

use crate::text::{parse_number, written_as_text};

/// A user type (`CK_USER_TYPE`), a vendor's own included.
///
/// In the steering file and the record it is `"user"`, `"so"` or a number (`"0x80000001"`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(
    /// The number.
    pub u64,
);

impl User {
    /// The security officer (`CKU_SO`).
    pub const SO: Self = Self(cryptoki_sys::CKU_SO);
    /// The normal user (`CKU_USER`).
    pub const USER: Self = Self(cryptoki_sys::CKU_USER);

    fn parse(text: &str) -> Option<Self> {
        match text {
            "so" => Some(Self::SO),
            "user" => Some(Self::USER),
            number => parse_number(number).map(Self),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SO => f.write_str("so"),
            Self::USER => f.write_str("user"),
            Self(number) => write!(f, "{number:#x}"),
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

written_as_text!(User, "a user type: `user`, `so` or a number");
