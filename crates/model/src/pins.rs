//! PINs, as the daemon knows them: by keyed digests, never by their digits.

use std::fmt::Write as _;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defines a digest: hexadecimal where people read it, plain bytes on the wire.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                write_digest(&self.0, to)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                read_digest(from).map(Self)
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

fn write_digest<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        return to.serialize_str(&text);
    }
    let mut tuple = to.serialize_tuple(bytes.len())?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

fn read_digest<'de, const N: usize, D: Deserializer<'de>>(from: D) -> Result<[u8; N], D::Error> {
    if from.is_human_readable() {
        from.deserialize_str(Digest::<N>)
    } else {
        from.deserialize_tuple(N, Digest::<N>)
    }
}

struct Digest<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Digest<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hexadecimal digits", 2 * N)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<[u8; N], E> {
        let digits = text.as_bytes();
        if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self));
        }
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
        let byte = |pair: &[u8]| u8::try_from(16 * value(pair[0]) + value(pair[1]));
        let mut bytes = [0; N];
        for (to, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *to = byte(pair).map_err(E::custom)?;
        }
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        for (index, to) in bytes.iter_mut().enumerate() {
            let next = from.next_element()?;
            *to = next.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(bytes)
    }
}
