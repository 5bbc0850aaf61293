//! Walking through the JSON around the blocks: one object, one array, each once.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Blocks;
use crate::answer::AnswerError;

/// Ends the walk for a reason of ours, which the JSON reader's error could not carry.
fn stop<E: Error>(blocks: &mut Blocks, fault: AnswerError) -> E {
    blocks.fault = Some(fault);
    E::custom("")
}

/// The outer object.
pub(super) struct Envelope<'a>(pub(super) &'a mut Blocks);

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(IsField(self.0.field))? {
            if !wanted {
                map.next_value::<IgnoredAny>()?;
            } else if self.0.seen {
                return Err(stop(self.0, AnswerError::DuplicateField(self.0.field)));
            } else {
                self.0.seen = true;
                map.next_value_seed(Array(self.0))?;
            }
        }
        Ok(())
    }
}

/// Whether a key is the one that matters.
struct IsField(&'static str);

impl<'de> DeserializeSeed<'de> for IsField {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsField {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

/// The array of blocks.
struct Array<'a>(&'a mut Blocks);

impl<'de> DeserializeSeed<'de> for Array<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element_seed(Block(self.0))?.is_some() {}
        Ok(())
    }
}

/// One block. Its text is decoded where it lies in the body; only a text with escapes passes
/// through the reader's own buffer.
struct Block<'a>(&'a mut Blocks);

impl<'de> DeserializeSeed<'de> for Block<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Block<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base64 string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.decode(text).map_err(|fault| stop(self.0, fault))
    }
}
