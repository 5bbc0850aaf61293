//! What went wrong at a token, and what kind of answer it asks for.

use std::fmt;

use qseed_model::pins::HeldBack;
use serde::{Deserialize, Serialize};

use crate::ckr::{Ckr, Function};

/// The kinds of failure that need different answers. The engine decides by this when to retry and
/// when to restart the worker, never by a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureClass {
    /// The token does not take seeds and will not tomorrow: say so once and let it rest.
    Permanent,
    /// The token refused this PIN or this kind of user: never present it again.
    PinRefused,
    /// The PIN guard held the PIN back.
    PinHeld(HeldBack),
    /// The token says *final try* or *locked*: no PIN was offered.
    PinGuarded,
    /// The PIN's file, variable or credential could not be read, or none is configured.
    PinUnavailable,
    /// The guard's key is missing and must not be replaced, or cannot be read or made.
    GuardKeyMissing,
    /// The module's state in this process is beyond repair: restart the worker.
    ReloadModule,
    /// `CKR_GENERAL_ERROR`, or a library that cannot list its slots: like [`Self::Device`] at
    /// first, like [`Self::ReloadModule`] when it repeats, and perhaps a seed length that the
    /// token does not take.
    General,
    /// The token is not there: as [`Self::Device`].
    TokenMissing,
    /// The token is there and not initialised: as [`Self::TokenMissing`].
    NotInitialised,
    /// Another token is in the slot than the one that was there first.
    AnotherToken,
    /// A `pkcs11:` URI matches several tokens.
    AmbiguousUri,
    /// Another kind of user is logged in to the token, by another partition of this configuration
    /// or by another application.
    AnotherLogin,
    /// The session is gone, and one more try on a new one did not help.
    SessionLost,
    /// The token wants a login, and logging in again did not help or is not configured.
    NotLoggedIn,
    /// The token does not take a seed of this length: a `chunk` setting may help.
    Length,
    /// Trouble at the device, or anything else: close, back off, find the token again.
    Device,
}

impl FailureClass {
    /// The class of a return value of a function, by what PKCS#11 3.1 says of it and what modules
    /// in the field mean by it.
    #[must_use]
    pub fn of(function: Function, ckr: Ckr) -> Self {
        match (function, ckr) {
            (
                Function::SeedRandom,
                Ckr::RANDOM_SEED_NOT_SUPPORTED | Ckr::RANDOM_NO_RNG | Ckr::FUNCTION_NOT_SUPPORTED,
            ) => Self::Permanent,
            (Function::SeedRandom, Ckr::ARGUMENTS_BAD | Ckr::DATA_LEN_RANGE) => Self::Length,
            // A role's first password may be born expired: the login succeeds, the next call not.
            (Function::SeedRandom, Ckr::PIN_EXPIRED) => Self::PinRefused,
            (Function::Login, ckr) if refuses_pin(ckr) => Self::PinRefused,
            // p11-kit's client answers so for ever once its server was restarted.
            (Function::GetSlotList, ckr) if is_device_trouble(ckr) => Self::General,
            (_, Ckr::GENERAL_ERROR) => Self::General,
            (_, Ckr::CRYPTOKI_NOT_INITIALIZED | Ckr::HOST_MEMORY) => Self::ReloadModule,
            (_, Ckr::SESSION_CLOSED | Ckr::SESSION_HANDLE_INVALID) => Self::SessionLost,
            (_, Ckr::USER_NOT_LOGGED_IN) => Self::NotLoggedIn,
            (
                _,
                Ckr::USER_ANOTHER_ALREADY_LOGGED_IN
                | Ckr::USER_TOO_MANY_TYPES
                | Ckr::SESSION_READ_ONLY_EXISTS
                | Ckr::SESSION_READ_WRITE_SO_EXISTS,
            ) => Self::AnotherLogin,
            (
                _,
                Ckr::SLOT_ID_INVALID
                | Ckr::TOKEN_NOT_PRESENT
                | Ckr::TOKEN_NOT_RECOGNIZED
                | Ckr::DEVICE_REMOVED,
            ) => Self::TokenMissing,
            _ => Self::Device,
        }
    }
}

/// Whether a return value reports trouble at a device, or something that only the vendor knows.
fn is_device_trouble(ckr: Ckr) -> bool {
    matches!(
        ckr,
        Ckr::DEVICE_ERROR
            | Ckr::DEVICE_MEMORY
            | Ckr::DEVICE_REMOVED
            | Ckr::FUNCTION_FAILED
            | Ckr::FUNCTION_CANCELED
    ) || ckr.is_vendor_defined()
}

/// Whether a return value says that the token will never accept this PIN or this kind of user.
pub(crate) fn refuses_pin(ckr: Ckr) -> bool {
    matches!(
        ckr,
        Ckr::PIN_INCORRECT
            | Ckr::PIN_LOCKED
            | Ckr::PIN_EXPIRED
            | Ckr::PIN_INVALID
            | Ckr::PIN_LEN_RANGE
            | Ckr::PIN_TOO_WEAK
            | Ckr::USER_PIN_NOT_INITIALIZED
            | Ckr::USER_TYPE_INVALID
    )
}

/// The longest text of a failure, in characters.
const MAX_TEXT: usize = 1_000;

/// A failure at a token: the function, its return value, the class, and a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFailure {
    /// The Cryptoki function that failed, where one did.
    pub function: Option<Function>,
    /// Its return value, where it came to one.
    pub ckr: Option<Ckr>,
    /// What kind of answer the failure asks for.
    pub class: FailureClass,
    /// What happened, if function and value do not say it; without secrets, at most 1,000
    /// characters.
    pub text: String,
}

impl TokenFailure {
    /// A failure outside any Cryptoki call.
    pub(crate) fn new(class: FailureClass, text: impl AsRef<str>) -> Self {
        Self {
            function: None,
            ckr: None,
            class,
            text: cut(text.as_ref()),
        }
    }

    /// The failure of a call.
    pub(crate) fn of_call(function: Function, error: &cryptoki::error::Error) -> Self {
        use cryptoki::error::Error;
        match error {
            Error::Pkcs11(value, _) => Self::of_value(function, Ckr::from(*value)),
            // The module's function list has a hole: the standard's way to say the same is a stub.
            Error::NullFunctionPointer => Self::of_value(function, Ckr::FUNCTION_NOT_SUPPORTED),
            other => Self {
                function: Some(function),
                ckr: None,
                class: FailureClass::Device,
                text: cut(&format!("the module's answer is not valid: {other}")),
            },
        }
    }

    /// The failure of a call that returned a value.
    pub(crate) fn of_value(function: Function, ckr: Ckr) -> Self {
        Self {
            function: Some(function),
            ckr: Some(ckr),
            class: FailureClass::of(function, ckr),
            text: String::new(),
        }
    }
}

/// `C_Login: CKR_PIN_INCORRECT`, then the text if there is one.
impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        if let Some(function) = self.function {
            f.write_str(function.name())?;
            before = ": ";
        }
        if let Some(ckr) = self.ckr {
            write!(f, "{before}{ckr}")?;
            before = ": ";
        }
        if self.text.is_empty() {
            return Ok(());
        }
        write!(f, "{before}{}", self.text)
    }
}

impl std::error::Error for TokenFailure {}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{Ckr, FailureClass, Function, TokenFailure};

    #[test]
    fn seeding_refused_is_permanent_and_only_for_seeding() {
        for ckr in [
            Ckr::RANDOM_SEED_NOT_SUPPORTED,
            Ckr::RANDOM_NO_RNG,
            Ckr::FUNCTION_NOT_SUPPORTED,
        ] {
            assert_eq!(
                FailureClass::of(Function::SeedRandom, ckr),
                FailureClass::Permanent
            );
        }
        let elsewhere = FailureClass::of(Function::Login, Ckr::FUNCTION_NOT_SUPPORTED);
        assert_eq!(elsewhere, FailureClass::Device);
    }

    #[test]
    fn every_return_value_of_seeding_has_its_class() {
        use FailureClass as C;
        for (ckr, class) in [
            (Ckr::ARGUMENTS_BAD, C::Length),
            (Ckr::CRYPTOKI_NOT_INITIALIZED, C::ReloadModule),
            (Ckr::DEVICE_ERROR, C::Device),
            (Ckr::DEVICE_MEMORY, C::Device),
            (Ckr::DEVICE_REMOVED, C::TokenMissing),
            (Ckr::FUNCTION_CANCELED, C::Device),
            (Ckr::FUNCTION_FAILED, C::Device),
            (Ckr::GENERAL_ERROR, C::General),
            (Ckr::HOST_MEMORY, C::ReloadModule),
            (Ckr(0x90), C::Device),
            (Ckr::SESSION_CLOSED, C::SessionLost),
            (Ckr::SESSION_HANDLE_INVALID, C::SessionLost),
            (Ckr::USER_NOT_LOGGED_IN, C::NotLoggedIn),
            (Ckr(0x8000_0001), C::Device),
        ] {
            assert_eq!(FailureClass::of(Function::SeedRandom, ckr), class, "{ckr}");
        }
    }

    #[test]
    fn a_library_that_lists_no_slots_is_out_of_order_as_a_whole() {
        for ckr in [
            Ckr::DEVICE_ERROR,
            Ckr::DEVICE_REMOVED,
            Ckr::GENERAL_ERROR,
            Ckr::FUNCTION_FAILED,
            Ckr(0x8000_0001),
        ] {
            let class = FailureClass::of(Function::GetSlotList, ckr);
            assert_eq!(class, FailureClass::General, "{ckr}");
        }
        let of_a_token = FailureClass::of(Function::GetTokenInfo, Ckr::DEVICE_ERROR);
        assert_eq!(of_a_token, FailureClass::Device);
    }

    #[test]
    fn a_failure_reads_function_value_text() {
        let failure = TokenFailure::of_value(Function::Login, Ckr::PIN_INCORRECT);
        assert_eq!(failure.to_string(), "C_Login: CKR_PIN_INCORRECT");
        assert_eq!(failure.class, FailureClass::PinRefused);
        let failure = TokenFailure::new(FailureClass::TokenMissing, "no such token");
        assert_eq!(failure.to_string(), "no such token");
    }

    #[test]
    fn a_long_text_is_cut() {
        let failure = TokenFailure::new(FailureClass::Device, "ä".repeat(5_000));
        assert_eq!(failure.text.chars().count(), 1_000);
    }
}
