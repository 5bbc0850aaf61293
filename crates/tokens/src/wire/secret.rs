//! How secrets cross to a worker: copied once, out of the frame into a buffer of just their size.

use std::fmt;

use qseed_entropy::Seed;
use qseed_secrets::Secret;
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

use super::frame::MAX_SEED_BYTES;

/// Reads bytes straight from the frame.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

/// A seed as bytes.
pub(super) mod seed {
    use super::{Bytes, Deserializer, Error, MAX_SEED_BYTES, Seed, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        seed: &Seed,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(seed.expose())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Seed, D::Error> {
        let seed = Seed::new(from.deserialize_bytes(Bytes)?);
        if seed.is_empty() || seed.len() > MAX_SEED_BYTES {
            return Err(D::Error::custom("a seed of no or too many bytes"));
        }
        Ok(seed)
    }
}

/// A PIN as bytes.
pub(super) mod pin {
    use super::{Bytes, Deserializer, Secret, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        secret: &Secret,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(secret.expose())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Secret, D::Error> {
        from.deserialize_bytes(Bytes).map(Secret::new)
    }
}
