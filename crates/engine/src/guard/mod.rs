//! The PIN guard: a PIN that a token refused is never presented to it again.
//!
//! Two parts. [`Records`] is what the guard's file holds, and [`Records::judge`] is the only place
//! that decides whether a PIN may be presented: the file asks it under its lock, so that several
//! processes count together, and `check --login`, the simulation and the exploration
//! (`tests/guard.rs`) ask the same function. `Pins` is what the engine knows beside it: which
//! presentations are under way and which wait for them.

mod contents;
mod pins;
mod records;

pub use contents::{Contents, line_of};
pub(crate) use pins::{PinKnown, Pins, Wish};
pub use records::{PinRecord, Records};
