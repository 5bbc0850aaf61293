//! Names of Cryptoki's functions and return values.

use std::fmt;

use cryptoki::error::{Rv, RvError};
use cryptoki_sys::CK_RV;
use serde::{Deserialize, Serialize};

/// A Cryptoki function whose failure qseed reports.
#[expect(missing_docs, reason = "the names are the standard's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Function {
    Initialize,
    GetFunctionList,
    GetSlotList,
    GetSlotInfo,
    GetTokenInfo,
    OpenSession,
    Login,
    SeedRandom,
}

impl Function {
    /// The function's name in the standard, for example `C_SeedRandom`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "C_Initialize",
            Self::GetFunctionList => "C_GetFunctionList",
            Self::GetSlotList => "C_GetSlotList",
            Self::GetSlotInfo => "C_GetSlotInfo",
            Self::GetTokenInfo => "C_GetTokenInfo",
            Self::OpenSession => "C_OpenSession",
            Self::Login => "C_Login",
            Self::SeedRandom => "C_SeedRandom",
        }
    }
}

/// A Cryptoki return value (`CK_RV`), PKCS#11 3.1 section 5.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ckr(pub u64);

/// The first of the values that belong to vendors (`CKR_VENDOR_DEFINED`).
const VENDOR_DEFINED: u64 = 0x8000_0000;

/// The values that qseed knows what to do about.
#[expect(missing_docs, reason = "the names are the standard's")]
impl Ckr {
    pub const HOST_MEMORY: Self = Self(0x2);
    pub const SLOT_ID_INVALID: Self = Self(0x3);
    pub const GENERAL_ERROR: Self = Self(0x5);
    pub const FUNCTION_FAILED: Self = Self(0x6);
    pub const ARGUMENTS_BAD: Self = Self(0x7);
    pub const DATA_LEN_RANGE: Self = Self(0x21);
    pub const DEVICE_ERROR: Self = Self(0x30);
    pub const DEVICE_MEMORY: Self = Self(0x31);
    pub const DEVICE_REMOVED: Self = Self(0x32);
    pub const FUNCTION_CANCELED: Self = Self(0x50);
    pub const FUNCTION_NOT_SUPPORTED: Self = Self(0x54);
    pub const PIN_INCORRECT: Self = Self(0xa0);
    pub const PIN_INVALID: Self = Self(0xa1);
    pub const PIN_LEN_RANGE: Self = Self(0xa2);
    pub const PIN_EXPIRED: Self = Self(0xa3);
    pub const PIN_LOCKED: Self = Self(0xa4);
    pub const SESSION_CLOSED: Self = Self(0xb0);
    pub const SESSION_HANDLE_INVALID: Self = Self(0xb3);
    pub const SESSION_READ_ONLY_EXISTS: Self = Self(0xb7);
    pub const SESSION_READ_WRITE_SO_EXISTS: Self = Self(0xb8);
    pub const TOKEN_NOT_PRESENT: Self = Self(0xe0);
    pub const TOKEN_NOT_RECOGNIZED: Self = Self(0xe1);
    pub const USER_ALREADY_LOGGED_IN: Self = Self(0x100);
    pub const USER_NOT_LOGGED_IN: Self = Self(0x101);
    pub const USER_PIN_NOT_INITIALIZED: Self = Self(0x102);
    pub const USER_TYPE_INVALID: Self = Self(0x103);
    pub const USER_ANOTHER_ALREADY_LOGGED_IN: Self = Self(0x104);
    pub const USER_TOO_MANY_TYPES: Self = Self(0x105);
    pub const RANDOM_SEED_NOT_SUPPORTED: Self = Self(0x120);
    pub const RANDOM_NO_RNG: Self = Self(0x121);
    pub const CRYPTOKI_NOT_INITIALIZED: Self = Self(0x190);
    pub const PIN_TOO_WEAK: Self = Self(0x1b8);

    /// The standard's name, `None` for vendors' and unknown values.
    #[must_use]
    pub fn name(self) -> Option<String> {
        match Rv::from(CK_RV::try_from(self.0).ok()?) {
            Rv::Ok => Some("CKR_OK".to_owned()),
            Rv::Error(RvError::VendorDefined(_) | RvError::UnknownErrorCode(_)) => {
                let named = LATER_NAMES.iter().find(|(value, _)| *value == self.0);
                named.map(|(_, name)| (*name).to_owned())
            }
            Rv::Error(named) => Some(standard_name(named)),
        }
    }

    /// Whether the value is a vendor's own.
    #[must_use]
    pub const fn is_vendor_defined(self) -> bool {
        self.0 >= VENDOR_DEFINED
    }
}

/// Values of PKCS#11 3.2, which the `cryptoki` crate does not know yet.
const LATER_NAMES: &[(u64, &str)] = &[
    (0x42, "CKR_AEAD_DECRYPT_FAILED"),
    (0x201, "CKR_TOKEN_RESOURCE_EXCEEDED"),
    (0x202, "CKR_OPERATION_CANCEL_FAILED"),
    (0x203, "CKR_KEY_EXHAUSTED"),
    (0x204, "CKR_PENDING"),
    (0x205, "CKR_SESSION_ASYNC_NOT_SUPPORTED"),
    (0x206, "CKR_SEED_RANDOM_REQUIRED"),
    (0x207, "CKR_OPERATION_NOT_VALIDATED"),
    (0x208, "CKR_TOKEN_NOT_INITIALIZED"),
    (0x209, "CKR_PARAMETER_SET_NOT_SUPPORTED"),
];

/// `CKR_PIN_INCORRECT` for the crate's `PinIncorrect`: its variants are named by this rule.
fn standard_name(value: RvError) -> String {
    let mut name = "CKR".to_owned();
    for letter in format!("{value:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

impl From<RvError> for Ckr {
    fn from(error: RvError) -> Self {
        #[allow(clippy::useless_conversion, reason = "CK_RV has 32 bits elsewhere")]
        match error {
            RvError::VendorDefined(value) | RvError::UnknownErrorCode(value) => Self(value.into()),
            // The crate maps numbers to variants and not back; the standard's numbers are small.
            named => (0..0x1000)
                .find(|number| Rv::from(*number) == Rv::Error(named))
                .map_or(Self::GENERAL_ERROR, |number| Self(number.into())),
        }
    }
}

/// The standard's name, or `CKR 0x80000011` where it has none.
impl fmt::Display for Ckr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(&name),
            None => write!(f, "CKR {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Ckr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::error::{Rv, RvError};

    use super::Ckr;

    #[test]
    fn every_standard_value_keeps_its_name_and_number() {
        let all = qseed_faulty_token::Ckr::STANDARD.iter();
        for standard in all.filter(|value| !Ckr(value.0).is_vendor_defined()) {
            assert_eq!(Ckr(standard.0).name().as_deref(), standard.name());
            let number = cryptoki_sys::CK_RV::try_from(standard.0).expect("a value");
            if let Rv::Error(error) = Rv::from(number) {
                assert_eq!(Ckr::from(error), Ckr(standard.0));
            }
        }
        assert_eq!(Ckr::PIN_INCORRECT.to_string(), "CKR_PIN_INCORRECT");
        assert_eq!(Ckr(0x206).to_string(), "CKR_SEED_RANDOM_REQUIRED");
        assert_eq!(Ckr(0x8000_0011).to_string(), "CKR 0x80000011");
        assert_eq!(Ckr(0x4242).to_string(), "CKR 0x4242");
    }

    #[test]
    fn vendors_values_keep_their_number() {
        let vendors = Ckr::from(RvError::VendorDefined(0x8000_0011));
        assert_eq!(vendors, Ckr(0x8000_0011));
        assert!(vendors.is_vendor_defined());
    }
}
