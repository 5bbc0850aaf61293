//! What the steering file says of a token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Ckr, TokenFlag, User};

/// One token. `{n}` in its texts stands for its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// The slot that it sits in, where it is not the one of its number.
    pub slot: Option<u64>,
    /// Whether it is plugged in. Its slot is there in any case.
    pub present: bool,
    /// Whether it is initialised (`CKF_TOKEN_INITIALIZED`).
    pub initialized: bool,
    /// Another number is another initialisation: sessions die, PIN tries start afresh.
    pub generation: u32,
    /// Another number kills the sessions that are open, with [`Self::lost_session`].
    pub session_epoch: u32,
    /// How many calls a session serves before it is lost; none: any number.
    pub session_calls: Option<u64>,
    /// What a lost session answers: `CKR_SESSION_HANDLE_INVALID` or `CKR_SESSION_CLOSED`.
    pub lost_session: Ckr,
    /// Sessions that can be open at once on this token in a process; none: no limit.
    pub max_sessions: Option<u32>,
    /// The label, at most 32 bytes.
    pub label: String,
    /// The serial number, at most 16 bytes.
    pub serial: String,
    /// The model, at most 16 bytes.
    pub model: String,
    /// The token's and the slot's manufacturer, at most 32 bytes.
    pub manufacturer: String,
    /// The slot's description, at most 64 bytes.
    pub slot_description: String,
    /// The firmware's version, major and minor.
    pub firmware: [u8; 2],
    /// What the fixed-width texts are filled up with.
    pub padding: Padding,
    /// A clock (`CKF_CLOCK_ON_TOKEN`) that always says this, at most 16 bytes, filled up as the
    /// other texts are; none: no clock.
    pub clock: Option<String>,
    /// Token flags that are set whatever the token's state, as names: `"CKF_USER_PIN_FINAL_TRY"`.
    pub set_flags: Vec<TokenFlag>,
    /// Token flags that are clear whatever the token's state.
    pub clear_flags: Vec<TokenFlag>,
    /// Whether it says that it needs a login (`CKF_LOGIN_REQUIRED`).
    pub login_required: bool,
    /// The normal user's PIN.
    pub user: PinSettings,
    /// The security officer's PIN.
    pub so: PinSettings,
    /// The PINs of a vendor's own user types.
    pub vendor_users: BTreeMap<User, PinSettings>,
    /// A PIN pad (`CKF_PROTECTED_AUTHENTICATION_PATH`) and what is typed there when `C_Login` comes
    /// without a PIN; none: such a call is `CKR_ARGUMENTS_BAD`.
    pub pin_pad: Option<PinPad>,
    /// Another application is logged in: what `C_Login` answers, before it looks at the PIN
    /// (`CKR_USER_ANOTHER_ALREADY_LOGGED_IN`, `CKR_USER_TOO_MANY_TYPES`).
    pub another_login: Option<Ckr>,
    /// How it takes seeds.
    pub seeding: Seeding,
}

/// A PIN and how the token guards it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinSettings {
    /// The PIN; none: it was never set (`CKR_USER_PIN_NOT_INITIALIZED`).
    pub pin: Option<String>,
    /// Wrong PINs in a row that lock it; none: it never locks.
    #[serde(default)]
    pub tries: Option<u32>,
    /// Whether the token's flags tell of it: count low, final try, locked. A vendor's
    /// user has no flags in PKCS#11.
    #[serde(default = "yes")]
    pub flags: bool,
}

fn yes() -> bool {
    true
}

impl PinSettings {
    /// A PIN that never locks.
    #[must_use]
    pub fn new(pin: &str) -> Self {
        Self {
            pin: Some(pin.to_owned()),
            tries: None,
            flags: true,
        }
    }
}

/// What happens at the PIN pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinPad {
    /// The right PIN is typed.
    Right,
    /// A wrong PIN is typed.
    Wrong,
    /// Cancel is pressed: `CKR_FUNCTION_CANCELED`, and no try is used up.
    Cancel,
}

/// What fixed-width texts are filled up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Blanks, as the standard has it.
    Blank,
    /// NUL bytes, as some modules do.
    Nul,
}

/// How a token takes `C_SeedRandom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeding {
    /// What it answers to every seed; none: it takes them. (`CKR_RANDOM_SEED_NOT_SUPPORTED`,
    /// `CKR_FUNCTION_NOT_SUPPORTED`; `CKR_RANDOM_NO_RNG` clears `CKF_RNG` too.)
    pub refused: Option<Ckr>,
    /// Whether it wants a login first (`CKR_USER_NOT_LOGGED_IN`).
    pub needs_login: bool,
    /// The shortest seed, in bytes.
    pub min: u64,
    /// The longest seed, in bytes; none: any length.
    pub max: Option<u64>,
    /// What a shorter or longer one is answered.
    pub wrong_length: Ckr,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            slot: None,
            present: true,
            initialized: true,
            generation: 0,
            session_epoch: 0,
            session_calls: None,
            lost_session: Ckr::SESSION_HANDLE_INVALID,
            max_sessions: None,
            label: "faulty-{n}".to_owned(),
            serial: "FT{n}".to_owned(),
            model: "faulty".to_owned(),
            manufacturer: "qseed".to_owned(),
            slot_description: "faulty slot {n}".to_owned(),
            firmware: [1, 0],
            padding: Padding::Blank,
            clock: None,
            set_flags: Vec::new(),
            clear_flags: Vec::new(),
            login_required: true,
            user: PinSettings::new("1234"),
            so: PinSettings::new("5678"),
            vendor_users: BTreeMap::new(),
            pin_pad: None,
            another_login: None,
            seeding: Seeding {
                refused: None,
                needs_login: false,
                min: 0,
                max: None,
                wrong_length: Ckr::DATA_LEN_RANGE,
            },
        }
    }
}

impl TokenSettings {
    /// How `user`'s PIN is guarded; `None` where the token has no such user.
    pub(crate) fn pin_of(&self, user: User) -> Option<&PinSettings> {
        match user {
            User::USER => Some(&self.user),
            User::SO => Some(&self.so),
            vendor => self.vendor_users.get(&vendor),
        }
    }
}
