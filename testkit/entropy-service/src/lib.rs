//! A simulator of the entropy services, for tests, demos and benchmarks.
//!
//! It serves the three interfaces that qseed reads (Qrypt's current and older one and the QRNG
//! Open API) over real HTTP/1.1 and real TLS, misbehaves on demand, and remembers what it served.
//! **Its entropy comes from the local kernel, for tests; it is not quantum**, and it says so in
//! each answer.
//!
//! ```no_run
//! use std::time::Duration;
//! use qseed_entropy_service::{EntropyService, Fault, Options};
//!
//! # fn main() -> Result<(), qseed_entropy_service::StartError> {
//! let service = EntropyService::spawn(Options::default().tls().token("a token"))?;
//! service.fault_next(Fault::AllZero, 2);
//! // … point a client at service.url(), with service.ca_path() as its CA …
//! assert!(service.wait_for(|log| log.served().len() == 3, Duration::from_secs(10)));
//! let good = service.served().into_iter().filter(|answer| answer.is_good());
//! # Ok(())
//! # }
//! ```
//!
//! A service runs on a thread of its own, so plain `#[test]` functions and asynchronous ones use it
//! alike. Dropping it stops it.

mod admin;
mod answer;
mod api;
mod authority;
mod blocks;
mod body;
mod control;
mod document;
mod durations;
mod error;
mod exchange;
mod fault;
mod gzip;
mod lock;
mod log;
mod notation;
mod options;
mod pending;
mod server;
mod service;
mod state;
mod tls;
mod wire;

pub use api::{Api, Ask};
pub use authority::Certificate;
pub use blocks::Blocks;
pub use durations::parse_duration;
pub use error::StartError;
pub use fault::{Base64Fault, Fault, FaultOrder, RetryAfter, StatusFault};
pub use log::{Connection, Counts, Log, Outcome, Request, Served, TlsFacts};
pub use notation::{FAULT_NOTATIONS, FaultNotationError};
pub use options::{Groups, Limits, Options, RateLimit, RateLimitError, Scope};
pub use service::EntropyService;

/// What the service says about its entropy, in each answer's `X-Entropy-Origin` header too.
pub const ENTROPY_ORIGIN: &str = "local kernel, for tests; not quantum";
