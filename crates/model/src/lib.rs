//! The nouns of the field, each once: what several rooms of qseed speak of.
//!
//! Nothing here does input or output, or decides anything.

pub mod pins;
