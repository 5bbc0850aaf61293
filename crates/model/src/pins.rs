//! PINs, as the daemon knows them: by keyed digests, never by their digits.

use std::fmt::Write as _;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The length of the PIN guard's key in bytes: HMAC-SHA-256's own.
pub const GUARD_KEY_BYTES: usize = 32;

/// Defines a digest, which is written as hexadecimal digits.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&hexadecimal(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let digest = bytes_of(&String::deserialize(from)?);
                let wrong = || D::Error::custom(concat!("not a digest of ", $bytes, " bytes"));
                digest.map(Self).ok_or_else(wrong)
            }
        }
    };
}

digest!(
    /// Stands for one PIN of one kind of user at one token: HMAC-SHA-256 over the device, the
    /// token's label, the user type and the PIN, under a key that only workers read.
    PinTag,
    32
);
digest!(
    /// Stands for one PIN of one kind of user at any token of one device, whatever its label.
    DevicePinTag,
    16
);
digest!(
    /// Stands for one token.
    TokenTag,
    16
);
digest!(
    /// Stands for what may count the wrong PINs of several tokens together: the tokens of one
    /// manufacturer, model and serial number.
    DeviceTag,
    16
);
digest!(
    /// Stands for the key that the other digests are made with.
    KeyTag,
    16
);
digest!(
    /// Stands for one process that presents PINs: a random number.
    ProcessTag,
    8
);

/// The digests of one PIN that a worker wants to present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PinTags {
    /// The PIN at its token.
    pub tag: PinTag,
    /// The PIN at any token of the device.
    pub at_device: DevicePinTag,
    /// The token.
    pub token: TokenTag,
    /// The device.
    pub device: DeviceTag,
    /// The key that made these digests.
    pub key: KeyTag,
}

/// What is known of one PIN at one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The token accepted it last.
    Accepted,
    /// The token refused it.
    Refused,
    /// It was presented once since it last succeeded, and the outcome is not known yet.
    Presented,
    /// It was presented once since it last succeeded, and the answer does not say whether the
    /// token judged it.
    Unclear,
    /// It was presented twice without a success.
    PresentedTwice,
}

impl Standing {
    /// Why the PIN is held back until the operator acts, if it is.
    #[must_use]
    pub fn held_back(self) -> Option<HeldBack> {
        match self {
            Self::Refused => Some(HeldBack::Refused),
            Self::PresentedTwice => Some(HeldBack::OutcomeUnknown),
            Self::Accepted | Self::Presented | Self::Unclear => None,
        }
    }
}

/// Why a PIN is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeldBack {
    /// The token refused it before.
    Refused,
    /// It was presented twice, and no answer says that the token accepted it.
    OutcomeUnknown,
    /// Another process is presenting it.
    InFlight,
    /// The attempt could not be recorded.
    NotRecorded,
    /// The PIN was not accepted last, and the device refused another partition's PIN.
    DeviceInDoubt,
    /// The guard's file or key was lost or replaced.
    GuardLost,
}

/// What a token answered to a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinAnswer {
    /// `CKR_OK`.
    Accepted,
    /// One of the codes by which a token refuses a PIN.
    Refused,
    /// The token did not look at the PIN, or it was not presented after all.
    NotJudged,
    /// The token may have judged the PIN.
    Unclear,
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes_of<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.len() != 2 * N || !all_hex {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
