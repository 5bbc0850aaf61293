//! The nouns of the field, each once: what several rooms of qseed speak of.
//!
//! Nothing here does input or output, or decides anything.

mod login;
pub mod pins;
mod source;
mod sources;

pub use login::Login;
pub use source::{Combine, PostQuantum, Rate, Reserve};
pub use sources::{Check, FetchFault, Limits, Shape};
