//! The flags of tokens, by name.

use std::fmt;

use crate::text::written_as_text;

macro_rules! token_flags {
    ($($flag:ident = $name:ident,)*) => {
        /// A flag of `CK_TOKEN_INFO`.
        ///
        /// In the steering file it is written by its name (`"CKF_USER_PIN_FINAL_TRY"`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum TokenFlag {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                $flag,
            )*
        }

        impl TokenFlag {
            const ALL: &'static [Self] = &[$(Self::$flag),*];

            /// The bit.
            pub(crate) fn bit(self) -> cryptoki_sys::CK_FLAGS {
                match self {
                    $(Self::$flag => cryptoki_sys::$name,)*
                }
            }

            /// The standard's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$flag => stringify!($name),)*
                }
            }
        }
    };
}

token_flags! {
    Rng = CKF_RNG,
    WriteProtected = CKF_WRITE_PROTECTED,
    LoginRequired = CKF_LOGIN_REQUIRED,
    UserPinInitialized = CKF_USER_PIN_INITIALIZED,
    ProtectedAuthenticationPath = CKF_PROTECTED_AUTHENTICATION_PATH,
    TokenInitialized = CKF_TOKEN_INITIALIZED,
    UserPinCountLow = CKF_USER_PIN_COUNT_LOW,
    UserPinFinalTry = CKF_USER_PIN_FINAL_TRY,
    UserPinLocked = CKF_USER_PIN_LOCKED,
    UserPinToBeChanged = CKF_USER_PIN_TO_BE_CHANGED,
    SoPinCountLow = CKF_SO_PIN_COUNT_LOW,
    SoPinFinalTry = CKF_SO_PIN_FINAL_TRY,
    SoPinLocked = CKF_SO_PIN_LOCKED,
    SoPinToBeChanged = CKF_SO_PIN_TO_BE_CHANGED,
    ErrorState = CKF_ERROR_STATE,
}

impl TokenFlag {
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|flag| flag.name() == text)
    }
}

impl fmt::Display for TokenFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

written_as_text!(TokenFlag, "the name of a token flag");
