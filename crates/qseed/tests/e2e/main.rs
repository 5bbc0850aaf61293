//! The daemon, end to end: real processes, real tokens, a service over TLS.
//!
//! Most tests wait rather than compute: `RUST_TEST_THREADS=8` makes them quicker.

mod anchors;
mod audit;
mod confined;
mod drop_in;
mod edits;
mod exit_codes;
mod host;
mod hostile;
mod ledger;
mod link;
mod logins;
mod memory;
mod modules;
mod once;
mod other_tools;
mod pins;
mod process;
mod records;
mod return_values;
mod scale;
mod secrets;
mod service_faults;
mod tokens;

#[path = "../support/mod.rs"]
mod support;
