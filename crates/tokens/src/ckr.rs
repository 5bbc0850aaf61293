//! Names of Cryptoki's functions and return values.

use std::fmt;

use cryptoki::error::RvError;
use serde::{Deserialize, Serialize};

/// A Cryptoki function that qseed calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Function {
    /// `C_Initialize`
    Initialize,
    /// `C_Finalize`
    Finalize,
    /// `C_GetInfo`
    GetInfo,
    /// `C_GetFunctionList` or `C_GetInterface`
    GetFunctionList,
    /// `C_GetSlotList`
    GetSlotList,
    /// `C_GetSlotInfo`
    GetSlotInfo,
    /// `C_GetTokenInfo`
    GetTokenInfo,
    /// `C_OpenSession`
    OpenSession,
    /// `C_CloseSession`
    CloseSession,
    /// `C_Login`
    Login,
    /// `C_Logout`
    Logout,
    /// `C_SeedRandom`
    SeedRandom,
}

impl Function {
    /// The function's name in the standard, for example `C_SeedRandom`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "C_Initialize",
            Self::Finalize => "C_Finalize",
            Self::GetInfo => "C_GetInfo",
            Self::GetFunctionList => "C_GetFunctionList",
            Self::GetSlotList => "C_GetSlotList",
            Self::GetSlotInfo => "C_GetSlotInfo",
            Self::GetTokenInfo => "C_GetTokenInfo",
            Self::OpenSession => "C_OpenSession",
            Self::CloseSession => "C_CloseSession",
            Self::Login => "C_Login",
            Self::Logout => "C_Logout",
            Self::SeedRandom => "C_SeedRandom",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Cryptoki return value (`CK_RV`), PKCS#11 3.1 section 5.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ckr(pub u64);

/// The first of the values that belong to vendors (`CKR_VENDOR_DEFINED`).
const VENDOR_DEFINED: u64 = 0x8000_0000;

impl Ckr {
    /// `CKR_OK`
    pub const OK: Self = Self(0);

    /// The standard's name, `None` for vendors' and unknown values.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let named = NAMES
            .iter()
            .chain(LATER_NAMES)
            .find(|(value, _)| *value == self.0);
        named.map(|(_, name)| *name)
    }

    /// Whether the value is a vendor's own.
    #[must_use]
    pub const fn is_vendor_defined(self) -> bool {
        self.0 >= VENDOR_DEFINED
    }
}

/// The standard's name, or `CKR 0x80000011` where it has none.
impl fmt::Display for Ckr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "CKR {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Ckr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ties each value's name to its number and to the `cryptoki` crate's variant, which the compiler
/// checks for completeness.
macro_rules! return_values {
    ($($name:ident = $value:literal => $variant:ident,)*) => {
        impl Ckr {
            $(
                #[doc = concat!("`CKR_", stringify!($name), "`")]
                pub const $name: Self = Self($value);
            )*
        }

        const NAMES: &[(u64, &str)] = &[
            (0, "CKR_OK"),
            $(($value, concat!("CKR_", stringify!($name))),)*
        ];

        impl From<RvError> for Ckr {
            fn from(error: RvError) -> Self {
                match error {
                    $(RvError::$variant => Self::$name,)*
                    #[allow(clippy::useless_conversion, reason = "CK_RV has 32 bits elsewhere")]
                    RvError::VendorDefined(value) | RvError::UnknownErrorCode(value) => {
                        Self(value.into())
                    }
                }
            }
        }
    };
}

return_values! {
    CANCEL = 0x1 => Cancel,
    HOST_MEMORY = 0x2 => HostMemory,
    SLOT_ID_INVALID = 0x3 => SlotIdInvalid,
    GENERAL_ERROR = 0x5 => GeneralError,
    FUNCTION_FAILED = 0x6 => FunctionFailed,
    ARGUMENTS_BAD = 0x7 => ArgumentsBad,
    NO_EVENT = 0x8 => NoEvent,
    NEED_TO_CREATE_THREADS = 0x9 => NeedToCreateThreads,
    CANT_LOCK = 0xa => CantLock,
    ATTRIBUTE_READ_ONLY = 0x10 => AttributeReadOnly,
    ATTRIBUTE_SENSITIVE = 0x11 => AttributeSensitive,
    ATTRIBUTE_TYPE_INVALID = 0x12 => AttributeTypeInvalid,
    ATTRIBUTE_VALUE_INVALID = 0x13 => AttributeValueInvalid,
    ACTION_PROHIBITED = 0x1b => ActionProhibited,
    DATA_INVALID = 0x20 => DataInvalid,
    DATA_LEN_RANGE = 0x21 => DataLenRange,
    DEVICE_ERROR = 0x30 => DeviceError,
    DEVICE_MEMORY = 0x31 => DeviceMemory,
    DEVICE_REMOVED = 0x32 => DeviceRemoved,
    ENCRYPTED_DATA_INVALID = 0x40 => EncryptedDataInvalid,
    ENCRYPTED_DATA_LEN_RANGE = 0x41 => EncryptedDataLenRange,
    FUNCTION_CANCELED = 0x50 => FunctionCanceled,
    FUNCTION_NOT_PARALLEL = 0x51 => FunctionNotParallel,
    FUNCTION_NOT_SUPPORTED = 0x54 => FunctionNotSupported,
    CURVE_NOT_SUPPORTED = 0x140 => CurveNotSupported,
    KEY_HANDLE_INVALID = 0x60 => KeyHandleInvalid,
    KEY_SIZE_RANGE = 0x62 => KeySizeRange,
    KEY_TYPE_INCONSISTENT = 0x63 => KeyTypeInconsistent,
    KEY_NOT_NEEDED = 0x64 => KeyNotNeeded,
    KEY_CHANGED = 0x65 => KeyChanged,
    KEY_NEEDED = 0x66 => KeyNeeded,
    KEY_INDIGESTIBLE = 0x67 => KeyIndigestible,
    KEY_FUNCTION_NOT_PERMITTED = 0x68 => KeyFunctionNotPermitted,
    KEY_NOT_WRAPPABLE = 0x69 => KeyNotWrappable,
    KEY_UNEXTRACTABLE = 0x6a => KeyUnextractable,
    MECHANISM_INVALID = 0x70 => MechanismInvalid,
    MECHANISM_PARAM_INVALID = 0x71 => MechanismParamInvalid,
    OBJECT_HANDLE_INVALID = 0x82 => ObjectHandleInvalid,
    OPERATION_ACTIVE = 0x90 => OperationActive,
    OPERATION_NOT_INITIALIZED = 0x91 => OperationNotInitialized,
    PIN_INCORRECT = 0xa0 => PinIncorrect,
    PIN_INVALID = 0xa1 => PinInvalid,
    PIN_LEN_RANGE = 0xa2 => PinLenRange,
    PIN_EXPIRED = 0xa3 => PinExpired,
    PIN_LOCKED = 0xa4 => PinLocked,
    SESSION_CLOSED = 0xb0 => SessionClosed,
    SESSION_COUNT = 0xb1 => SessionCount,
    SESSION_HANDLE_INVALID = 0xb3 => SessionHandleInvalid,
    SESSION_PARALLEL_NOT_SUPPORTED = 0xb4 => SessionParallelNotSupported,
    SESSION_READ_ONLY = 0xb5 => SessionReadOnly,
    SESSION_EXISTS = 0xb6 => SessionExists,
    SESSION_READ_ONLY_EXISTS = 0xb7 => SessionReadOnlyExists,
    SESSION_READ_WRITE_SO_EXISTS = 0xb8 => SessionReadWriteSoExists,
    SIGNATURE_INVALID = 0xc0 => SignatureInvalid,
    SIGNATURE_LEN_RANGE = 0xc1 => SignatureLenRange,
    TEMPLATE_INCOMPLETE = 0xd0 => TemplateIncomplete,
    TEMPLATE_INCONSISTENT = 0xd1 => TemplateInconsistent,
    TOKEN_NOT_PRESENT = 0xe0 => TokenNotPresent,
    TOKEN_NOT_RECOGNIZED = 0xe1 => TokenNotRecognized,
    TOKEN_WRITE_PROTECTED = 0xe2 => TokenWriteProtected,
    UNWRAPPING_KEY_HANDLE_INVALID = 0xf0 => UnwrappingKeyHandleInvalid,
    UNWRAPPING_KEY_SIZE_RANGE = 0xf1 => UnwrappingKeySizeRange,
    UNWRAPPING_KEY_TYPE_INCONSISTENT = 0xf2 => UnwrappingKeyTypeInconsistent,
    USER_ALREADY_LOGGED_IN = 0x100 => UserAlreadyLoggedIn,
    USER_NOT_LOGGED_IN = 0x101 => UserNotLoggedIn,
    USER_PIN_NOT_INITIALIZED = 0x102 => UserPinNotInitialized,
    USER_TYPE_INVALID = 0x103 => UserTypeInvalid,
    USER_ANOTHER_ALREADY_LOGGED_IN = 0x104 => UserAnotherAlreadyLoggedIn,
    USER_TOO_MANY_TYPES = 0x105 => UserTooManyTypes,
    WRAPPED_KEY_INVALID = 0x110 => WrappedKeyInvalid,
    WRAPPED_KEY_LEN_RANGE = 0x112 => WrappedKeyLenRange,
    WRAPPING_KEY_HANDLE_INVALID = 0x113 => WrappingKeyHandleInvalid,
    WRAPPING_KEY_SIZE_RANGE = 0x114 => WrappingKeySizeRange,
    WRAPPING_KEY_TYPE_INCONSISTENT = 0x115 => WrappingKeyTypeInconsistent,
    RANDOM_SEED_NOT_SUPPORTED = 0x120 => RandomSeedNotSupported,
    RANDOM_NO_RNG = 0x121 => RandomNoRng,
    DOMAIN_PARAMS_INVALID = 0x130 => DomainParamsInvalid,
    BUFFER_TOO_SMALL = 0x150 => BufferTooSmall,
    SAVED_STATE_INVALID = 0x160 => SavedStateInvalid,
    INFORMATION_SENSITIVE = 0x170 => InformationSensitive,
    STATE_UNSAVEABLE = 0x180 => StateUnsaveable,
    CRYPTOKI_NOT_INITIALIZED = 0x190 => CryptokiNotInitialized,
    CRYPTOKI_ALREADY_INITIALIZED = 0x191 => CryptokiAlreadyInitialized,
    MUTEX_BAD = 0x1a0 => MutexBad,
    MUTEX_NOT_LOCKED = 0x1a1 => MutexNotLocked,
    NEW_PIN_MODE = 0x1b0 => NewPinMode,
    NEXT_OTP = 0x1b1 => NextOtp,
    EXCEEDED_MAX_ITERATIONS = 0x1b5 => ExceededMaxIterations,
    FIPS_SELF_TEST_FAILED = 0x1b6 => FipsSelfTestFailed,
    LIBRARY_LOAD_FAILED = 0x1b7 => LibraryLoadFailed,
    PIN_TOO_WEAK = 0x1b8 => PinTooWeak,
    PUBLIC_KEY_INVALID = 0x1b9 => PublicKeyInvalid,
    FUNCTION_REJECTED = 0x200 => FunctionRejected,
}

/// Values of PKCS#11 3.2, which the `cryptoki` crate hands over as numbers.
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

#[cfg(test)]
mod tests {
    use cryptoki::error::RvError;

    use super::Ckr;

    #[test]
    fn values_are_named_as_the_standard_names_them() {
        assert_eq!(Ckr::PIN_INCORRECT.to_string(), "CKR_PIN_INCORRECT");
        assert_eq!(Ckr(0x120).to_string(), "CKR_RANDOM_SEED_NOT_SUPPORTED");
        assert_eq!(Ckr(0x206).to_string(), "CKR_SEED_RANDOM_REQUIRED");
        assert_eq!(Ckr(0x8000_0011).to_string(), "CKR 0x80000011");
        assert_eq!(Ckr(0x4242).to_string(), "CKR 0x4242");
    }

    #[test]
    fn vendors_values_keep_their_number() {
        let vendors = Ckr::from(RvError::VendorDefined(0x8000_0011));
        assert_eq!(vendors, Ckr(0x8000_0011));
        assert!(vendors.is_vendor_defined());
        assert_eq!(Ckr::from(RvError::PinLocked), Ckr(0xa4));
    }
}
