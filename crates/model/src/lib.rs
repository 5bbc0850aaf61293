//! The nouns of the field, each once: what several rooms of qseed speak of.
//!
//! Nothing here does input or output, or decides anything.

mod login;
pub mod pins;
mod request;
mod source;

pub use login::Login;
pub use request::{Check, FetchFault, Limits, Shape};
pub use source::{Combine, PostQuantum, Rate, Reserve};
