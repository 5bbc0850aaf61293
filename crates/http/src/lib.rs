//! An HTTP client that qseed controls to the last byte: TLS with post-quantum key exchange, pins,
//! client certificates, and a bound on everything that a server sends.
//!
//! One [`HttpClient`] speaks to one service. It decides nothing over time: schedules and back-off
//! are its user's.
//!
//! # The link
//! - HTTP/1.1 over TLS 1.3 (1.2 only where the server has no better) on one kept connection a
//!   service. If the server closed it while it was idle, a new one replaces it without a fault.
//! - Redirects are never followed, bodies are cut off at what the request could need, and no body,
//!   token or reason phrase of a server gets into an error.
//! - **No proxy**: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are not honoured. qseed speaks to the
//!   service itself or not at all.
//! - **The environment** cannot weaken the link: `SSLKEYLOGFILE` is ignored, there is no way to
//!   switch verification off. `SSL_CERT_FILE` and `SSL_CERT_DIR` say where this system's roots
//!   are, as for every OpenSSL program; [`SystemRoots::origin`] shows that they do, and a service
//!   with `tls.ca` does not look at them.
//! - Buffers of this crate that held a token or a body are wiped. `rustls`' buffer is cleared before
//!   each read. `hyper` gets new buffers after each request; the old ones are wiped in a program
//!   whose allocator wipes what is freed.
//!
//! # Running
//! Futures of this crate need a tokio runtime with I/O and time; one thread is enough. Whatever may
//! block for long runs on threads beside it: files, the resolver. Dropping a future that is under
//! way abandons its connection, so nothing of a late answer is taken for the answer to a later
//! question.

mod answer;
mod client;
mod connection;
mod dial;
mod endpoint;
mod error;
mod files;
mod helper;
mod link;
mod retry_after;
mod settings;
mod tls;
mod wiped;

pub use answer::Exchange;
pub use client::{Answer, Call, HttpClient};
pub use error::{HttpError, Phase};
pub use helper::Helper;
pub use hyper::Method;
pub use link::{Link, Traffic};
pub use settings::{Auth, ClientIdentity, Http, Tls};
pub use tls::{SystemRoots, TlsFault, UnusableFile};
