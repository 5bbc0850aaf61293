//! Nouns of tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::uri::TokenUri;

/// Which token of a module is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TokenChoice {
    /// The one in the slot of this id (`CK_SLOT_ID`).
    Slot(u64),
    /// The one that a URI names.
    Uri(Box<TokenUri>),
}

/// As whom to log in to a token (PKCS#11 3.1, section 5.6.8, `C_Login`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Login {
    /// Not at all.
    None,
    /// `CKU_USER`.
    User,
    /// `CKU_SO`, in a read/write session.
    So,
    /// `CKU_USER` with the PIN entered at the token (PIN pad, PED).
    Protected,
    /// A vendor's user type from `0x8000_0000` on, such as Luna's limited crypto user.
    Vendor(u32),
}

impl Login {
    /// Whether qseed presents a PIN.
    #[must_use]
    pub fn needs_pin(self) -> bool {
        matches!(self, Self::User | Self::So | Self::Vendor(_))
    }

    /// Whether a process cannot be logged in to one token in both ways.
    #[must_use]
    pub fn excludes(self, other: Self) -> bool {
        let user = |login| match login {
            Self::None => None,
            Self::Protected => Some(Self::User),
            login => Some(login),
        };
        matches!((user(self), user(other)), (Some(one), Some(other)) if one != other)
    }
}

/// The configuration's word.
impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::So => f.write_str("so"),
            Self::None => f.write_str("none"),
            Self::Protected => f.write_str("protected"),
            Self::Vendor(number) => write!(f, "{number:#x}"),
        }
    }
}
