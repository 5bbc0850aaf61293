//! How secrets cross to a worker: copied once, out of the frame into a buffer of just their size.

use std::fmt;
use std::path::PathBuf;

use qseed_entropy::Seed;
use qseed_secrets::{Secret, SecretRef};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// A secret as bytes.
struct Wire<T>(T);

impl Serialize for Wire<&Secret> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Wire<Secret> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(from.deserialize_bytes(Bytes)?)))
    }
}

/// A secret that is there.
pub(super) mod plain {
    use super::{Deserialize, Deserializer, Secret, Serialize, Serializer, Wire};

    pub(in super::super) fn serialize<S: Serializer>(
        secret: &Secret,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        Wire(secret).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Secret, D::Error> {
        Wire::<Secret>::deserialize(from).map(|wire| wire.0)
    }
}

/// A [`SecretRef`] as it crosses.
#[derive(Serialize, Deserialize)]
enum Reference<S> {
    Literal(S),
    File(PathBuf),
    Environment(String),
    Credential(String),
}

/// A secret or where it comes from.
pub(super) mod reference {
    use super::{
        Deserialize, Deserializer, Reference, Secret, SecretRef, Serialize, Serializer, Wire,
    };

    pub(in super::super) fn serialize<S: Serializer>(
        secret: &SecretRef,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            SecretRef::Literal(secret) => Reference::Literal(Wire(secret)),
            SecretRef::File(path) => Reference::File(path.clone()),
            SecretRef::Environment(name) => Reference::Environment(name.clone()),
            SecretRef::Credential(name) => Reference::Credential(name.clone()),
        }
        .serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SecretRef, D::Error> {
        let reference = Reference::<Wire<Secret>>::deserialize(from)?;
        Ok(match reference {
            Reference::Literal(secret) => SecretRef::Literal(secret.0),
            Reference::File(path) => SecretRef::File(path),
            Reference::Environment(name) => SecretRef::Environment(name),
            Reference::Credential(name) => SecretRef::Credential(name),
        })
    }
}
