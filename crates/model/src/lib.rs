//! The nouns of the field, each once: what several rooms of qseed speak of.
//!
//! Nothing here does input or output, or decides anything.

mod output;
pub mod pins;
mod request;
mod source;
mod token;
pub mod uri;
mod url;
mod version;

pub use output::Output;
pub use request::{Check, FetchFault, Limits, Shape};
pub use source::{Combine, PostQuantum, Rate, Reserve};
pub use token::{Login, TokenChoice};
pub use url::{Host, Scheme, Url};
pub use version::Version;
