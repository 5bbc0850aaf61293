//! What a module's slots and tokens say about themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::TokenFailure;

/// A version as Cryptoki gives it: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The number before the dot.
    pub major: u8,
    /// The number behind the dot; hundredths for hardware and firmware.
    pub minor: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What `C_GetInfo` says about a module. Texts are without padding and control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// The slot's id, which many modules choose again at each start.
    pub slot_id: u64,
    /// The slot's description, at most 64 bytes.
    pub slot_description: String,
    /// The slot's manufacturer, at most 32 bytes.
    pub slot_manufacturer: String,
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
    /// The token's flags.
    pub flags: TokenFlags,
}

impl TokenInfo {
    /// What tells the token from others.
    #[must_use]
    pub fn name(&self) -> TokenName {
        TokenName {
            label: self.label.clone(),
            serial: self.serial.clone(),
        }
    }

    /// Whether `other` is the same token, by serial number and label.
    #[must_use]
    pub fn is_same_token(&self, other: &Self) -> bool {
        self.serial == other.serial && self.label == other.label
    }
}

/// What tells a token from others, wherever it is.
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
    /// What is in the slot.
    pub token: SlotToken,
}

impl SlotReport {
    /// The token, where there is one that could be read.
    #[must_use]
    pub fn token(&self) -> Option<&TokenInfo> {
        match &self.token {
            SlotToken::Present(token) => Some(token),
            SlotToken::Absent | SlotToken::Unreadable(_) => None,
        }
    }

    /// Why the token cannot be read, where that is so.
    #[must_use]
    pub fn unreadable(&self) -> Option<&TokenFailure> {
        match &self.token {
            SlotToken::Unreadable(failure) => Some(failure),
            SlotToken::Absent | SlotToken::Present(_) => None,
        }
    }
}

/// How a text about tokens that were read goes on, where there are some that were not:
/// `; 1 more cannot be read (C_GetTokenInfo: CKR_GENERAL_ERROR)`.
#[must_use]
pub fn unreadable(slots: &[SlotReport]) -> Option<String> {
    let mut failures = slots.iter().filter_map(SlotReport::unreadable);
    let first = failures.next()?;
    let more = 1 + failures.count();
    Some(format!("; {more} more cannot be read ({first})"))
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotToken {
    /// Nothing.
    Absent,
    /// A token.
    Present(TokenInfo),
    /// Something that the module could not tell about.
    Unreadable(TokenFailure),
}

/// A flag of `CK_TOKEN_INFO` (PKCS#11 3.1 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl TokenFlag {
    /// Every flag that qseed looks at, in the standard's order.
    pub const ALL: [Self; 15] = [
        Self::Rng,
        Self::WriteProtected,
        Self::LoginRequired,
        Self::UserPinInitialized,
        Self::ProtectedAuthenticationPath,
        Self::TokenInitialized,
        Self::UserPinCountLow,
        Self::UserPinFinalTry,
        Self::UserPinLocked,
        Self::UserPinToBeChanged,
        Self::SoPinCountLow,
        Self::SoPinFinalTry,
        Self::SoPinLocked,
        Self::SoPinToBeChanged,
        Self::ErrorState,
    ];

    /// The flag's bit in `CK_TOKEN_INFO`.
    const fn bit(self) -> u32 {
        match self {
            Self::Rng => 0x1,
            Self::WriteProtected => 0x2,
            Self::LoginRequired => 0x4,
            Self::UserPinInitialized => 0x8,
            Self::ProtectedAuthenticationPath => 0x100,
            Self::TokenInitialized => 0x400,
            Self::UserPinCountLow => 0x1_0000,
            Self::UserPinFinalTry => 0x2_0000,
            Self::UserPinLocked => 0x4_0000,
            Self::UserPinToBeChanged => 0x8_0000,
            Self::SoPinCountLow => 0x10_0000,
            Self::SoPinFinalTry => 0x20_0000,
            Self::SoPinLocked => 0x40_0000,
            Self::SoPinToBeChanged => 0x80_0000,
            Self::ErrorState => 0x100_0000,
        }
    }

    /// A stable name for JSON, for example `user_pin_final_try`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rng => "rng",
            Self::WriteProtected => "write_protected",
            Self::LoginRequired => "login_required",
            Self::UserPinInitialized => "user_pin_initialized",
            Self::ProtectedAuthenticationPath => "protected_authentication_path",
            Self::TokenInitialized => "token_initialized",
            Self::UserPinCountLow => "user_pin_count_low",
            Self::UserPinFinalTry => "user_pin_final_try",
            Self::UserPinLocked => "user_pin_locked",
            Self::UserPinToBeChanged => "user_pin_to_be_changed",
            Self::SoPinCountLow => "so_pin_count_low",
            Self::SoPinFinalTry => "so_pin_final_try",
            Self::SoPinLocked => "so_pin_locked",
            Self::SoPinToBeChanged => "so_pin_to_be_changed",
            Self::ErrorState => "error_state",
        }
    }
}

/// A set of a token's flags.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenFlags(u32);

impl TokenFlags {
    /// Whether `flag` is set.
    #[must_use]
    pub const fn contains(self, flag: TokenFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// The flags that are set, in the standard's order.
    pub fn iter(self) -> impl Iterator<Item = TokenFlag> {
        TokenFlag::ALL
            .into_iter()
            .filter(move |flag| self.contains(*flag))
    }
}

impl FromIterator<TokenFlag> for TokenFlags {
    fn from_iter<I: IntoIterator<Item = TokenFlag>>(flags: I) -> Self {
        Self(flags.into_iter().fold(0, |bits, flag| bits | flag.bit()))
    }
}

impl fmt::Debug for TokenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
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
        let says = |word: &str| {
            let texts = [
                &library.manufacturer,
                &library.description,
                &token.manufacturer,
                &token.model,
                &token.slot_description,
            ];
            texts.into_iter().any(|text| text.contains(word))
        };
        if ["SoftHSM", "Mozilla", "NSS ", "Kryoptic"]
            .into_iter()
            .any(says)
        {
            return Some(Self::InCallingProcess);
        }
        if ["LunaVirtual", "HA Virtual", "Luna HA"]
            .into_iter()
            .any(says)
        {
            return Some(Self::VirtualSlot);
        }
        // openCryptoki calls itself "Meta PKCS11 LIBRARY", and its software token as below.
        let refusers = [
            "YubiHSM",
            "openCryptoki",
            "Meta PKCS11",
            "IBM SoftTok",
            "OpenSC",
            "CloudHSM",
        ];
        if refusers.into_iter().any(says) {
            return Some(Self::RefusesSeeding);
        }
        None
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

/// A fixed-width field of Cryptoki as text: up to the first NUL, without the blanks that pad it,
/// and with control characters, which no honest token has, replaced: the text goes to logs.
pub(crate) fn field(text: &str) -> String {
    let text = text.split('\0').next().unwrap_or_default();
    text.trim_matches(' ')
        .replace(|c: char| c.is_control(), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::{GeneratorNote, LibraryInfo, TokenFlag, TokenFlags, TokenInfo, Version, field};

    #[test]
    fn fields_lose_their_padding() {
        assert_eq!(field("My First Token     "), "My First Token");
        assert_eq!(field("nul\0\0\0"), "nul");
        assert_eq!(field("cut\0leftover  "), "cut");
        assert_eq!(field("two\nlines"), "two\u{fffd}lines");
        assert_eq!(field("    "), "");
    }

    #[test]
    fn flags_come_back_as_they_went_in() {
        let flags: TokenFlags = TokenFlag::ALL.into_iter().collect();
        assert!(TokenFlag::ALL.into_iter().eq(flags.iter()));
        let one: TokenFlags = [TokenFlag::UserPinLocked].into_iter().collect();
        assert!(one.contains(TokenFlag::UserPinLocked) && !one.contains(TokenFlag::SoPinLocked));
    }

    #[test]
    fn software_tokens_are_called_so() {
        let version = Version { major: 2, minor: 6 };
        let library = LibraryInfo {
            cryptoki_version: version,
            manufacturer: "SoftHSM".into(),
            description: String::new(),
            version,
        };
        let token = TokenInfo {
            slot_id: 1,
            slot_description: String::new(),
            slot_manufacturer: String::new(),
            label: String::new(),
            serial: String::new(),
            model: String::new(),
            manufacturer: String::new(),
            hardware: version,
            firmware: version,
            flags: TokenFlags::default(),
        };
        let note = GeneratorNote::of(&library, &token);
        assert_eq!(note, Some(GeneratorNote::InCallingProcess));
        let library = LibraryInfo {
            manufacturer: "ACME".into(),
            ..library
        };
        assert_eq!(GeneratorNote::of(&library, &token), None);
    }
}
