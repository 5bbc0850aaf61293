//! Whether entropy can be trusted, end to end: every type of source, the delivery checks,
//! combination, rate limit, budget and reserve, and the link, with real processes and tokens.
//!
//! Most tests wait rather than compute: `RUST_TEST_THREADS=8` makes them quicker.

mod authority;
mod budget;
mod checks;
mod combine;
mod devices;
mod kinds;
mod limits;
mod link;
mod node;
mod openssl;
mod rate;
mod records;
mod refusals;
mod reserve;
mod stage;

#[path = "../support/mod.rs"]
mod support;
