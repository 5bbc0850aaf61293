//! Other people's tools that check a ledger: OpenSSL, and the Python package `aics-tlog`.
//!
//! Nothing of qseed's own is used here, so that both ends cannot share a mistake. What goes wrong here
//! is a machine that lacks a tool, so everything panics and names the tool; no test passes without it.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "for tests: what fails here panics"
)]

mod aics_tlog;
mod openssl;
mod python;

pub use aics_tlog::{Report, check};
pub use openssl::openssl_accepts;
