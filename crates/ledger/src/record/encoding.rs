//! How hashes stand in a line.

use aws_lc_rs::digest::{SHA256, digest};

use crate::tree::Hash;

/// The SHA-256 of a line without its newline: the `prev` of the line after.
///
/// # Panics
/// Never: SHA-256 has 32 bytes.
#[must_use]
pub fn line_hash(line: &[u8]) -> Hash {
    let hash = digest(&SHA256, line);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// `prev`: lowercase hexadecimal as `sha256sum` prints it, or `null`.
pub(crate) mod hex {
    use std::borrow::Cow;
    use std::fmt::Write as _;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::tree::Hash;

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(crate) fn serialize<S: Serializer>(hash: &Option<Hash>, to: S) -> Result<S::Ok, S::Error> {
        hash.map(|hash| text(&hash)).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Hash>, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(from)?;
        text.map(|text| {
            parse(&text).ok_or_else(|| D::Error::custom("not a SHA-256 in hexadecimal"))
        })
        .transpose()
    }

    pub(crate) fn text(hash: &Hash) -> String {
        hash.iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                write!(text, "{byte:02x}").expect("writing to a String does not fail");
                text
            })
    }

    fn parse(text: &str) -> Option<Hash> {
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(hash)
    }

    fn digit(digit: u8) -> Option<u8> {
        match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        }
    }
}

/// Roots and the tree's hashes: base64, as in checkpoints and proofs.
pub(crate) mod base64 {
    use std::borrow::Cow;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::tree::Hash;

    pub(crate) fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(hash))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        parse(&text).ok_or_else(|| D::Error::custom("not a SHA-256 in base64"))
    }

    pub(super) fn parse(text: &str) -> Option<Hash> {
        STANDARD.decode(text).ok()?.try_into().ok()
    }
}

/// A list of hashes in base64.
pub(crate) mod base64_list {
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::tree::Hash;

    pub(crate) fn serialize<S: Serializer>(hashes: &[Hash], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(hashes.iter().map(|hash| STANDARD.encode(hash)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hash>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts
            .iter()
            .map(|text| {
                super::base64::parse(text)
                    .ok_or_else(|| D::Error::custom("not a SHA-256 in base64"))
            })
            .collect()
    }
}
