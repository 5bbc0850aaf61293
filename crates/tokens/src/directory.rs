//! What a module's slots and tokens say about themselves.

use std::fmt;

use qseed_model::uri::TokenUri;
use qseed_model::{Login, Version};
use serde::{Deserialize, Serialize};

use crate::failure::TokenFailure;

/// What `C_GetInfo` says about a module. Texts are without padding and control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryInfo {
    /// The version of the Cryptoki interface.
    pub cryptoki_version: Version,
    /// The module's manufacturer, at most 32 bytes.
    pub manufacturer: String,
    /// The module's description, at most 32 bytes.
    pub description: String,
    /// The module's own version.
    pub version: Version,
}

/// A token and the slot that it is in. Texts are without padding and control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// The slot's id, which many modules choose again at each start.
    pub slot_id: u64,
    /// The slot's description, at most 64 bytes.
    pub slot_description: String,
    /// The token's label, at most 32 bytes.
    pub label: String,
    /// The token's serial number, at most 16 bytes.
    pub serial: String,
    /// The token's model, at most 16 bytes.
    pub model: String,
    /// The token's manufacturer, at most 32 bytes.
    pub manufacturer: String,
    /// The token's hardware version.
    pub hardware: Version,
    /// The token's firmware version.
    pub firmware: Version,
    /// The flags that are set, in the standard's order.
    pub flags: Vec<TokenFlag>,
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

    /// The token's label and serial number.
    #[must_use]
    pub fn name(&self) -> TokenName {
        TokenName {
            label: self.label.clone(),
            serial: self.serial.clone(),
        }
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: TokenFlag) -> bool {
        self.flags.contains(&flag)
    }
}

/// What identifies a token in any slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenName {
    /// The token's label.
    pub label: String,
    /// The token's serial number.
    pub serial: String,
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (serial {})", self.label, self.serial)
    }
}

/// One slot as `qseed slots` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReport {
    /// The slot's id.
    pub id: u64,
    /// The slot's description, at most 64 bytes.
    pub description: String,
    /// The slot's manufacturer, at most 32 bytes.
    pub manufacturer: String,
    /// The token, if there is one, or why it cannot be read.
    pub token: Result<Option<TokenInfo>, TokenFailure>,
}

impl SlotReport {
    /// The token, if there is one that could be read.
    #[must_use]
    pub fn token(&self) -> Option<&TokenInfo> {
        self.token.as_ref().ok()?.as_ref()
    }

    /// Why the token cannot be read, if so.
    #[must_use]
    pub fn unreadable(&self) -> Option<&TokenFailure> {
        self.token.as_ref().err()
    }
}

/// The end of a text about tokens, if some cannot be read:
/// `; 1 more cannot be read (C_GetTokenInfo: CKR_GENERAL_ERROR)`.
#[must_use]
pub fn unreadable(slots: &[SlotReport]) -> Option<String> {
    let mut failures = slots.iter().filter_map(SlotReport::unreadable);
    let first = failures.next()?;
    let more = 1 + failures.count();
    Some(format!("; {more} more cannot be read ({first})"))
}

/// A flag of `CK_TOKEN_INFO` (PKCS#11 3.1 section 3.2). JSON names it like `user_pin_final_try`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFlag {
    /// `CKF_RNG`: the token has a generator of its own.
    Rng,
    /// `CKF_WRITE_PROTECTED`
    WriteProtected,
    /// `CKF_LOGIN_REQUIRED`: some functions need a login.
    LoginRequired,
    /// `CKF_USER_PIN_INITIALIZED`
    UserPinInitialized,
    /// `CKF_PROTECTED_AUTHENTICATION_PATH`: the PIN is entered at the token (PIN pad, PED).
    ProtectedAuthenticationPath,
    /// `CKF_TOKEN_INITIALIZED`
    TokenInitialized,
    /// `CKF_USER_PIN_COUNT_LOW`: a wrong PIN was entered since the last good login.
    UserPinCountLow,
    /// `CKF_USER_PIN_FINAL_TRY`: one more wrong PIN locks the user.
    UserPinFinalTry,
    /// `CKF_USER_PIN_LOCKED`
    UserPinLocked,
    /// `CKF_USER_PIN_TO_BE_CHANGED`
    UserPinToBeChanged,
    /// `CKF_SO_PIN_COUNT_LOW`
    SoPinCountLow,
    /// `CKF_SO_PIN_FINAL_TRY`
    SoPinFinalTry,
    /// `CKF_SO_PIN_LOCKED`
    SoPinLocked,
    /// `CKF_SO_PIN_TO_BE_CHANGED`
    SoPinToBeChanged,
    /// `CKF_ERROR_STATE`: the token failed a self-test.
    ErrorState,
}

/// What a token's flags say about the PIN of one kind of user.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the token")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinFlags {
    /// A wrong PIN was entered since the last good login.
    pub count_low: bool,
    /// One more wrong PIN locks.
    pub final_try: bool,
    /// The PIN is locked.
    pub locked: bool,
    /// This user has no PIN yet.
    pub not_initialised: bool,
}

impl PinFlags {
    /// The flags that stand for the security officer or for the user. Vendors' users have no flags
    /// of their own, and the user's are the nearest.
    #[must_use]
    pub fn of(token: &TokenInfo, login: Login) -> Self {
        if login == Login::So {
            return Self {
                count_low: token.has(TokenFlag::SoPinCountLow),
                final_try: token.has(TokenFlag::SoPinFinalTry),
                locked: token.has(TokenFlag::SoPinLocked),
                not_initialised: false,
            };
        }
        Self {
            count_low: token.has(TokenFlag::UserPinCountLow),
            final_try: token.has(TokenFlag::UserPinFinalTry),
            locked: token.has(TokenFlag::UserPinLocked),
            not_initialised: !token.has(TokenFlag::UserPinInitialized),
        }
    }

    /// Why no PIN may be presented, if so.
    #[must_use]
    pub fn against_login(self) -> Option<&'static str> {
        if self.locked {
            Some("the token says that the PIN is locked")
        } else if self.final_try {
            Some("the token says that the next wrong PIN locks it")
        } else {
            None
        }
    }
}

/// Something to know about the generator behind a token before seeding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorNote {
    /// A software token: its generator belongs to the process that loads the module.
    InCallingProcess,
    /// A virtual slot over several devices: nobody can say which one a seed reaches.
    VirtualSlot,
    /// A kind of token that is known to refuse `C_SeedRandom`.
    RefusesSeeding,
}

impl GeneratorNote {
    /// What is known of this kind of token, by the names that it gives itself.
    #[must_use]
    pub fn of(library: &LibraryInfo, token: &TokenInfo) -> Option<Self> {
        let texts = [
            &library.manufacturer,
            &library.description,
            &token.manufacturer,
            &token.model,
            &token.slot_description,
        ];
        let known = KNOWN_GENERATORS.iter();
        let mut known = known.filter(|(name, _)| texts.iter().any(|text| text.contains(name)));
        known.next().map(|(_, note)| *note)
    }

    /// A sentence for the operator.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::InCallingProcess => {
                "a software token: its generator lives in the calling process, so seeding it \
                 from here reaches no other process"
            }
            Self::VirtualSlot => {
                "a virtual slot over several devices: a seed reaches one member's generator and \
                 nobody can say which; configure the members' own slots"
            }
            Self::RefusesSeeding => "tokens of this kind are known to refuse C_SeedRandom",
        }
    }
}

/// What is known of tokens that call themselves, their library or their slot by such a name.
const KNOWN_GENERATORS: [(&str, GeneratorNote); 13] = [
    ("SoftHSM", GeneratorNote::InCallingProcess),
    ("Mozilla", GeneratorNote::InCallingProcess),
    ("NSS ", GeneratorNote::InCallingProcess),
    ("Kryoptic", GeneratorNote::InCallingProcess),
    ("LunaVirtual", GeneratorNote::VirtualSlot),
    ("HA Virtual", GeneratorNote::VirtualSlot),
    ("Luna HA", GeneratorNote::VirtualSlot),
    ("YubiHSM", GeneratorNote::RefusesSeeding),
    // openCryptoki calls itself "Meta PKCS11 LIBRARY", and its software token "IBM SoftTok".
    ("openCryptoki", GeneratorNote::RefusesSeeding),
    ("Meta PKCS11", GeneratorNote::RefusesSeeding),
    ("IBM SoftTok", GeneratorNote::RefusesSeeding),
    ("OpenSC", GeneratorNote::RefusesSeeding),
    ("CloudHSM", GeneratorNote::RefusesSeeding),
];

/// A fixed-width field of Cryptoki as text: up to the first NUL, without the blanks that pad it,
/// and with control characters, which no honest token has, replaced: the text goes to logs.
pub(crate) fn field(text: &str) -> String {
    let text = text.split('\0').next().unwrap_or_default();
    text.trim_matches(' ')
        .replace(|c: char| c.is_control(), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::{GeneratorNote, LibraryInfo, TokenInfo, field};

    #[test]
    fn fields_lose_their_padding() {
        assert_eq!(field("My First Token     "), "My First Token");
        assert_eq!(field("nul\0\0\0"), "nul");
        assert_eq!(field("cut\0leftover  "), "cut");
        assert_eq!(field("two\nlines"), "two\u{fffd}lines");
        assert_eq!(field("    "), "");
    }

    #[test]
    fn software_tokens_are_called_so() {
        let made_by = |manufacturer: &str| {
            let library = LibraryInfo {
                manufacturer: manufacturer.into(),
                ..LibraryInfo::default()
            };
            GeneratorNote::of(&library, &TokenInfo::default())
        };
        assert_eq!(made_by("SoftHSM"), Some(GeneratorNote::InCallingProcess));
        assert_eq!(made_by("ACME"), None);
    }
}
